import type { Clock } from './ports.ts'

/** Longest time that messages of one subscription are worked on before sockets, timers and heartbeats get their turn, in ms. */
const turnMs = 8

/**
 * A subscription's turn of the event loop. It begins with the first who asks; actions that are promises and end at once are still in the same one. What
 * is left when it is over goes on in the next.
 */
export class Turn {
  readonly #clock: Clock
  readonly #onNext: () => void
  /** On the monotonic clock; undefined while none has begun. */
  #endsAt: number | undefined
  #isOver = false

  /** `onNext`: the event loop has had its own turn since. */
  constructor(clock: Clock, onNext: () => void) {
    this.#clock = clock
    this.#onNext = onNext
  }

  /** Nothing more may start in it. */
  isOver(): boolean {
    if (this.#isOver) return true
    const now = this.#clock.monotonic()
    this.#endsAt ??= this.#begin(now)
    this.#isOver = now >= this.#endsAt
    return this.#isOver
  }

  /** The rest goes on in the next one. */
  end(): void {
    this.#isOver = true
    this.#endsAt ??= this.#begin(this.#clock.monotonic())
  }

  #begin(now: number): number {
    this.#clock.yield(() => {
      this.#endsAt = undefined
      this.#isOver = false
      this.#onNext()
    })
    return now + turnMs
  }
}
