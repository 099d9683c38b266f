import type { Cancel, Clock } from './ports.ts'

/** Most messages that may wait for the idempotency store at once. */
const mostWithStore = 1_024

/** Longest time that granted claims start their actions before sockets, timers and heartbeats get their turn, in ms. */
const turnMs = 8

/**
 * The places of one subscription: so many messages may be at work at once. One that only waits for the idempotency store leaves its place to
 * another, so that a round trip to the store costs it time and the others nothing. It takes a place again before its actions start.
 */
export class Places {
  readonly #clock: Clock
  /** A place is free, or another message may ask for its claim. */
  readonly #onFree: () => void
  #limit: number
  #taken = 0
  /** Messages that wait for the store, or with a claim for a place. */
  #withStore = 0
  /** Those of them that have not started their actions. */
  #claiming = 0
  /**
   * How many claims may be asked for ahead of the places: more while each finds a place at once, fewer when one has to wait. So no more keys are held than
   * the actions keep up with.
   */
  #ahead: number
  /** Claims granted that wait for a place, in order. */
  readonly #waiting = new Set<() => void>()
  /** The turn's end on the monotonic clock; undefined while none has begun. */
  #turnEndsAt: number | undefined

  constructor(clock: Clock, limit: number, onFree: () => void) {
    this.#clock = clock
    this.#limit = limit
    this.#ahead = limit
    this.#onFree = onFree
  }

  /** What is above a smaller number ends what it is at. */
  resize(limit: number): void {
    this.#limit = limit
    this.#ahead = Math.max(limit, this.#ahead)
    this.#freed()
  }

  /** Another message may start. */
  get isOpen(): boolean {
    return this.#taken < this.#limit && this.#waiting.size === 0 && this.#claiming < this.#ahead && this.#withStore < this.#mostWithStore
  }

  get #mostWithStore(): number {
    return Math.max(mostWithStore, this.#limit)
  }

  take(): void {
    this.#taken++
  }

  leave(): void {
    this.#taken--
    this.#freed()
  }

  /** The message waits for its claim, away from its place. Ends with `enter` or `giveUpClaim`. */
  claim(): void {
    this.#claiming++
    this.#withStore++
    this.leave()
  }

  /** The claim is granted: takes a place for the actions. False: there is none now, `wait` for it. */
  enter(): boolean {
    if (this.#taken >= this.#limit || this.#waiting.size > 0 || this.#turnIsOver()) return false
    this.#ahead = Math.min(this.#ahead + 1, this.#mostWithStore)
    this.giveUpClaim()
    // One claim less on its way: another message may ask for its own.
    this.#onFree()
    return true
  }

  /** Calls back once when the place is taken. What it answers takes the message out of the queue. */
  wait(entered: () => void): Cancel {
    this.#ahead = Math.max(this.#limit, this.#ahead >> 1)
    this.#waiting.add(entered)
    return () => this.#waiting.delete(entered)
  }

  /** Back in its place, whatever became of the claim. */
  giveUpClaim(): void {
    this.#claiming--
    this.#return()
  }

  /** The message waits for its completion to be stored, away from its place, until `completed`. */
  complete(): void {
    this.#withStore++
    this.leave()
  }

  completed(): void {
    this.#return()
  }

  #return(): void {
    this.#withStore--
    this.#taken++
  }

  #freed(): void {
    for (const entered of this.#waiting) {
      if (this.#taken >= this.#limit || this.#turnIsOver()) return
      this.#waiting.delete(entered)
      this.giveUpClaim()
      entered()
    }
    this.#onFree()
  }

  /** A turn begins with the first who asks, and the next one after the event loop has had its own. */
  #turnIsOver(): boolean {
    const now = this.#clock.monotonic()
    if (this.#turnEndsAt === undefined) {
      this.#turnEndsAt = now + turnMs
      this.#clock.yield(() => {
        this.#turnEndsAt = undefined
        this.#freed()
      })
    }
    return now >= this.#turnEndsAt
  }
}
