import type { Clock } from './ports.ts'
import type { Seat } from './seat.ts'

/** Most messages that may wait for the idempotency store at once. */
const mostWithStore = 1_024

/** Longest time that messages which come back start their actions before sockets, timers and heartbeats get their turn, in ms. */
const turnMs = 8

/**
 * The places of one subscription: so many messages may be at work at once. One that only waits leaves its place to another (see Seat), so that a wait
 * costs it time and the others nothing. It takes a place again before its actions go on, and then comes before those that have not started.
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
  /** Back from a wait, without a place yet, in order. */
  readonly #queue = new Set<Seat>()
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
    return this.#taken < this.#limit && this.#queue.size === 0 && this.#claiming < this.#ahead && this.#withStore < this.#mostWithStore
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

  /** Takes a place for what comes back from a wait. False: there is none now, or others wait for one. */
  tryTake(): boolean {
    if (this.#taken >= this.#limit || this.#queue.size > 0 || this.#turnIsOver()) return false
    this.#taken++
    return true
  }

  /** Gets its place in its turn. */
  queue(seat: Seat): void {
    this.#queue.add(seat)
  }

  unqueue(seat: Seat): void {
    this.#queue.delete(seat)
  }

  /** A message waits for its claim, away from its place, until `claimEnds`. */
  claimBegins(): void {
    this.#claiming++
    this.#withStore++
  }

  /** Its actions start, or it does not wait for the store any more. */
  claimEnds(): void {
    this.#claiming--
    this.#withStore--
  }

  /** Somebody else has the key: others may be asked for. */
  claimIsHeld(): void {
    this.claimEnds()
    this.#onFree()
  }

  /** A claim that was granted has found a place at once: others may be asked for. */
  claimFits(): void {
    this.#ahead = Math.min(this.#ahead + 1, this.#mostWithStore)
    this.claimEnds()
    this.#onFree()
  }

  /** A claim that was granted has to wait for a place. */
  claimWaits(): void {
    this.#ahead = Math.max(this.#limit, this.#ahead >> 1)
  }

  /** A message waits for its completion to be stored, away from its place, until `completionEnds`. */
  completionBegins(): void {
    this.#withStore++
  }

  completionEnds(): void {
    this.#withStore--
  }

  #freed(): void {
    // Asked for every message that settles at once: no iterator for nothing.
    if (this.#queue.size > 0) {
      for (const seat of this.#queue) {
        if (this.#taken >= this.#limit || this.#turnIsOver()) return
        this.#queue.delete(seat)
        this.#taken++
        seat.placed()
      }
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
