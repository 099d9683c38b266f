import type { Clock } from './ports.ts'
import type { Seat } from './seat.ts'
import { StoreTraffic } from './store-traffic.ts'
import type { Turn } from './turn.ts'

/**
 * The places of one subscription: so many messages may be at work at once. One that only waits leaves its place to another (see Seat), so that a wait
 * costs it time and the others nothing. It takes a place again before its actions go on, and then comes before those that have not started.
 */
export class Places {
  readonly #turn: Turn
  /** A place is free, or another message may ask for its claim. */
  readonly #onFree: () => void
  /** Of its messages: those that wait for the idempotency store. */
  readonly store: StoreTraffic
  #limit: number
  #taken = 0
  /** Back from a wait, without a place yet, in order. */
  readonly #queue = new Set<Seat>()

  constructor(clock: Clock, turn: Turn, limit: number, onFree: () => void) {
    this.#turn = turn
    this.#limit = limit
    this.#onFree = onFree
    this.store = new StoreTraffic(clock, this)
  }

  /** What is above a smaller number ends what it is at. */
  resize(limit: number): void {
    this.#limit = limit
    this.store.resized()
    this.freed()
  }

  get limit(): number {
    return this.#limit
  }

  get hasFree(): boolean {
    return this.#taken < this.#limit && this.#queue.size === 0
  }

  /** Another message may start. */
  get isOpen(): boolean {
    return this.hasFree && this.store.isOpen
  }

  take(): void {
    this.#taken++
  }

  leave(): void {
    this.#taken--
    this.freed()
  }

  /** Takes a place for what comes back from a wait. False: there is none now, or others wait for one. */
  tryTake(): boolean {
    if (this.#taken >= this.#limit || this.#queue.size > 0 || this.#turn.isOver()) return false
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

  /** A place is free, or the store lets others go ahead. */
  freed(): void {
    // Asked for every message that settles at once: no iterator for nothing.
    if (this.#queue.size > 0) {
      for (const seat of this.#queue) {
        if (this.#taken >= this.#limit || this.#turn.isOver()) return
        this.#queue.delete(seat)
        this.#taken++
        seat.placed()
      }
    }
    this.store.serve()
    this.#onFree()
  }
}
