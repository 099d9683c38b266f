import type { Cancel, Clock } from '../engine/ports.ts'

interface Timer {
  readonly at: number
  /** Timers of one moment fire in the order they were made. */
  readonly order: number
  readonly callback: () => void
}

/** A clock that stands still until it is told to go on. Promises settle between two timers, as they do on the real one. */
export class VirtualClock implements Clock {
  /** Epoch milliseconds at the start. */
  readonly #epoch: number
  #elapsed = 0
  #made = 0
  readonly #timers = new Set<Timer>()
  #yielded: (() => void)[] = []
  #yields = 0

  readonly #untilQuiet: () => Promise<void>

  /** `untilQuiet`: time also stands still until it resolves, for work that takes real time. */
  constructor(epoch = Date.UTC(2026, 0, 1), untilQuiet: () => Promise<void> = async () => {}) {
    this.#epoch = epoch
    this.#untilQuiet = untilQuiet
  }

  now(): number {
    return this.#epoch + Math.floor(this.#elapsed)
  }

  monotonic(): number {
    return this.#elapsed
  }

  schedule(ms: number, callback: () => void): Cancel {
    const timer = { at: this.#elapsed + Math.max(0, ms), order: this.#made++, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  yield(callback: () => void): void {
    this.#yields++
    this.#yielded.push(callback)
  }

  /** Times that something yielded so far. */
  get yields(): number {
    return this.#yields
  }

  /** Waits left before the timers that are set, shortest first, in ms. */
  get waits(): readonly number[] {
    return [...this.#timers].sort(byTime).map(timer => timer.at - this.#elapsed)
  }

  /** Time that passes inside synchronous work: no timer fires. */
  elapse(ms: number): void {
    this.#elapsed += ms
  }

  /** Lets promises settle and yielded work run, without time passing. Timers that are due already fire. */
  async settle(): Promise<void> {
    await this.advance(0)
  }

  /** Lets `ms` pass: fires what comes due, in order, and lets its consequences happen in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#elapsed + ms
    await this.#quiet()
    for (let timer = this.#nextBefore(until); timer !== undefined; timer = this.#nextBefore(until)) {
      this.#timers.delete(timer)
      this.#elapsed = Math.max(this.#elapsed, timer.at)
      timer.callback()
      await this.#quiet()
    }
    this.#elapsed = Math.max(this.#elapsed, until)
  }

  /** Lets time pass until no timer is set, at most `limitMs`: work that sets timers for ever ends there. */
  async runOut(limitMs = 24 * 60 * 60 * 1000): Promise<void> {
    const until = this.#elapsed + limitMs
    await this.#quiet()
    for (let timer = this.#nextBefore(until); timer !== undefined; timer = this.#nextBefore(until))
      await this.advance(Math.max(0, timer.at - this.#elapsed))
  }

  #nextBefore(until: number): Timer | undefined {
    const [first] = [...this.#timers].sort(byTime)
    return first !== undefined && first.at <= until ? first : undefined
  }

  /** A turn of the event loop comes after all promise jobs; yielded work gets turns until there is none. */
  async #quiet(): Promise<void> {
    do {
      const callbacks = this.#yielded
      this.#yielded = []
      for (const callback of callbacks) callback()
      await new Promise(resolve => setImmediate(resolve))
      await this.#untilQuiet()
    } while (this.#yielded.length > 0)
  }
}

function byTime(one: Timer, other: Timer): number {
  return one.at - other.at || one.order - other.order
}
