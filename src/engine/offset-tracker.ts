import { countDone, type DoneAhead, isDone } from './done-ahead.ts'

/** Not reached in the moment that a dead letter takes to be written: from then on, what is open has to be searched for. */
const mostSettledEarly = 16_384

/**
 * The next offset of one partition that may be committed: everything below it is settled. Messages settle out of order; only those
 * that are still open are kept, so a message that settles at once costs one field.
 */
export class OffsetTracker {
  /** Open offsets in delivery order, and those settled early as their complement (below 0) or not at all; `#head` is the first that is open. */
  #open: number[] = []
  #head = 0
  /** Of those from `#head` on: how many are settled. */
  #early = 0
  /** -1 before the first delivery. */
  #next = -1
  /** The first offset that was delivered, or -1. */
  #first = -1
  /** What the broker keeps. Positions below its offset are never reported. */
  #saved: DoneAhead
  /** Settled entries are taken out of what is open once there are more than so many, and half of it. */
  readonly #mostEarly: number
  /** What was done before the partition came here, and where that ends. */
  #before: readonly number[]
  #beforeEnd: number

  /** `saved`: what the broker keeps; undefined where that is not known. */
  constructor(saved: DoneAhead = nothingSaved, mostEarly = mostSettledEarly) {
    this.#mostEarly = mostEarly
    this.#saved = saved
    this.#before = saved.bounds
    this.#beforeEnd = saved.bounds.at(-1) ?? -1
  }

  /** The message was done before the partition came here. */
  wasDone(offset: number): boolean {
    return offset < this.#beforeEnd && isDone(this.#before, offset)
  }

  /** Where the partition ends, before its first delivery. Below what was committed: it has lost messages, and gives their offsets to others. */
  endsAt(end: number): void {
    if (end >= Math.max(this.#beforeEnd, this.#saved.offset)) return
    this.#saved = nothingSaved
    this.#before = []
    this.#beforeEnd = -1
  }

  /** The message at `offset` was delivered and is not settled yet. Offsets must grow. */
  open(offset: number): void {
    this.#open.push(offset)
  }

  /** The message at `offset`, opened before, is done, dead-lettered or filtered. */
  settle(offset: number): void {
    if (this.#open[this.#head] !== offset) {
      const index = this.#indexOf(offset)
      if (this.#open[index] !== offset) return
      this.#open[index] = complement(offset)
      this.#early++
      if (this.#early > this.#mostEarly && this.#early * 2 > this.#open.length - this.#head) this.#dropEarly()
      return
    }
    this.#head++
    while ((this.#open[this.#head] ?? 0) < 0) {
      this.#head++
      this.#early--
    }
    if (this.#head > 1024 && this.#head * 2 > this.#open.length) {
      this.#open = this.#open.slice(this.#head)
      this.#head = 0
    }
  }

  /** Every message below `next` was delivered: those that are not open are settled. */
  delivered(next: number): void {
    if (this.#first < 0) this.#first = this.#open[0] ?? next - 1
    if (next > this.#next) this.#next = next
  }

  /** The next offset to read after a restart, or -1 while nothing is known. */
  get position(): number {
    return this.#open[this.#head] ?? this.#next
  }

  /** Messages delivered and not settled. */
  get openCount(): number {
    return this.#open.length - this.#head - this.#early
  }

  /** The position, if it moved since the last `markSaved`; else undefined. */
  get unsavedPosition(): number | undefined {
    const position = this.position
    return position > this.#saved.offset ? position : undefined
  }

  /** What of the partition is done above its position: settled here, or before and not delivered again yet. */
  get ahead(): DoneAhead {
    const offset = this.position
    const bounds: number[] = []
    let from = offset
    for (let index = this.#head; index < this.#open.length; index++) {
      const open = this.#open[index] ?? -1
      if (open < 0) continue
      if (open > from) bounds.push(from, open)
      from = open + 1
    }
    if (this.#next > from) bounds.push(from, this.#next)
    for (let index = 0; index + 1 < this.#before.length; index += 2) {
      const start = Math.max(this.#before[index] ?? 0, this.#next)
      const end = this.#before[index + 1] ?? 0
      if (start >= end) continue
      if (bounds.at(-1) === start) bounds.pop()
      else bounds.push(start)
      bounds.push(end)
    }
    return { offset, bounds }
  }

  /** What is done above the position that the broker keeps is not told there: some of it, or (`noticeably`) more than a small part. */
  hasUntold(noticeably: boolean): boolean {
    const { position, unsaved } = this
    if (position !== this.#saved.offset || unsaved <= 0) return false
    return !noticeably || unsaved * 64 >= this.#next - position - this.openCount
  }

  /**
   * Messages that are settled, and neither committed nor told beside the committed offset: what starts from there handles them again. Offsets
   * without a message, of compacted topics or transactions, are counted with them: there are no more than so many.
   */
  get unsaved(): number {
    const from = Math.max(this.#saved.offset, this.#first)
    if (this.#next < from) return 0
    return this.#next - from - this.openCount - countDone(this.#saved.bounds, from, this.#next)
  }

  isSaved({ offset, bounds }: DoneAhead): boolean {
    const saved = this.#saved
    return offset === saved.offset && bounds.length === saved.bounds.length && bounds.every((bound, index) => bound === saved.bounds[index])
  }

  markSaved(saved: DoneAhead): void {
    if (saved.offset >= this.#saved.offset) this.#saved = saved
  }

  #dropEarly(): void {
    this.#open = this.#open.slice(this.#head).filter(entry => entry >= 0)
    this.#head = 0
    this.#early = 0
  }

  /**
   * Where it stands, or would. Offsets grow by 1 at least, mostly by just that: the first look is where it stands at the latest. Else it is looked
   * for from the end on: while one holds back the position, those that end are of the latest.
   */
  #indexOf(offset: number): number {
    let high = Math.min(this.#head + offset - this.position, this.#open.length - 1)
    if (this.#open[high] === offset) return high
    let low = high
    for (let step = 1; low > this.#head && offsetAt(this.#open[low] ?? 0) > offset; step *= 2) {
      high = low
      low = Math.max(this.#head, low - step)
    }
    while (low < high) {
      const middle = (low + high) >>> 1
      if (offsetAt(this.#open[middle] ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

const nothingSaved: DoneAhead = { offset: -1, bounds: [] }

/** Of offsets beyond 32 bits, too. */
function complement(offset: number): number {
  return -1 - offset
}

function offsetAt(entry: number): number {
  return entry < 0 ? complement(entry) : entry
}
