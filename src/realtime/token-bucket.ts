/** Allows `burst` at once and `perSecond` on average. */
export class TokenBucket {
  #tokens: number
  #filledAt: number

  /** `now` is in ms on a monotonic clock. */
  constructor(burst: number, now: number) {
    this.#tokens = burst
    this.#filledAt = now
  }

  take(perSecond: number, burst: number, now: number): boolean {
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * perSecond)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
