/**
 * The next offset of one partition that may be committed: everything below it is settled. Messages settle out of order; only those
 * that are still open are kept, so a message that settles at once costs one field.
 */
export class OffsetTracker {
  /** Open and settled-early offsets in delivery order; everything before `#head` is settled. */
  #open: number[] = []
  #head = 0
  readonly #settled = new Set<number>()
  #next: number
  /** Offsets below this are never reported: they were committed before. */
  #committed: number

  /** `next` is the first offset that will be delivered, or -1 where that is not known yet. */
  constructor(next = -1) {
    this.#next = next
    this.#committed = next
  }

  /** The message at `offset` was delivered and is not settled yet. Offsets must grow. */
  open(offset: number): void {
    this.#open.push(offset)
  }

  /** The message at `offset`, opened before, is done, dead-lettered or filtered. */
  settle(offset: number): void {
    if (this.#open[this.#head] !== offset) {
      this.#settled.add(offset)
      return
    }
    this.#head++
    while (this.#settled.size > 0) {
      const following = this.#open[this.#head]
      if (following === undefined || !this.#settled.delete(following)) break
      this.#head++
    }
    if (this.#head > 1024 && this.#head * 2 > this.#open.length) {
      this.#open = this.#open.slice(this.#head)
      this.#head = 0
    }
  }

  /** Every message below `next` was delivered: those that are not open are settled. */
  delivered(next: number): void {
    if (next > this.#next) this.#next = next
  }

  /** The next offset to read after a restart, or -1 while nothing is known. */
  get position(): number {
    return this.#open[this.#head] ?? this.#next
  }

  /** Messages delivered and not settled. */
  get openCount(): number {
    return this.#open.length - this.#head - this.#settled.size
  }

  /** The position, if it moved since the last `markCommitted`; else undefined. */
  get uncommitted(): number | undefined {
    const position = this.position
    return position > this.#committed ? position : undefined
  }

  markCommitted(position: number): void {
    if (position > this.#committed) this.#committed = position
  }
}
