/**
 * The next offset of one partition that may be committed: everything below it is settled. Messages settle out of order; only those
 * that are still open are kept, so a message that settles at once costs one field.
 */
export class OffsetTracker {
  /** Open offsets in delivery order, and those settled early as their complement (below 0), until all before them are; `#head` is the first that is open. */
  #open: number[] = []
  #head = 0
  /** Of those from `#head` on: how many are settled. */
  #early = 0
  #next: number
  /** The first offset that was delivered, or -1. */
  #first: number
  /** Offsets below this are never reported: they were committed before. */
  #committed: number

  /** `next` is the first offset that will be delivered, or -1 where that is not known yet. */
  constructor(next = -1) {
    this.#next = next
    this.#first = next
    this.#committed = next
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

  /** The position, if it moved since the last `markCommitted`; else undefined. */
  get uncommitted(): number | undefined {
    const position = this.position
    return position > this.#committed ? position : undefined
  }

  /**
   * Messages that are settled and not committed: what starts from the committed offset handles them again. Offsets without a message, of
   * compacted topics or transactions, are counted with them: there are no more than so many.
   */
  get unsaved(): number {
    return this.#next - Math.max(this.#committed, this.#first) - this.openCount
  }

  markCommitted(position: number): void {
    if (position > this.#committed) this.#committed = position
  }

  /** Where it stands, or would. Offsets grow by 1 at least, mostly by just that: the first look is where it stands at the latest. */
  #indexOf(offset: number): number {
    let low = this.#head
    let high = Math.min(low + offset - this.position, this.#open.length - 1)
    if (this.#open[high] === offset) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (offsetAt(this.#open[middle] ?? 0) < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Of offsets beyond 32 bits, too. */
function complement(offset: number): number {
  return -1 - offset
}

function offsetAt(entry: number): number {
  return entry < 0 ? complement(entry) : entry
}
