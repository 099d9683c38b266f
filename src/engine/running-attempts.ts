import { AttemptReleased, AttemptTimeout } from './attempt-run.ts'
import type { Cancel, Clock } from './ports.ts'

/** Can be told that its outcome no longer counts. */
export interface Abortable {
  abort(reason: Error): void
}

/** Is told of a result, once: never before it has been asked for to the end. */
export interface Waiter {
  resolved(value: unknown): void
  rejected(reason: unknown): void
}

/** Tells attempts that wait under it when what it stands for is lost. */
export interface Watch {
  watch(attempt: Abortable): void
  forget(attempt: Abortable): void
}

/**
 * The attempts of one partition that are waited for. A list in which each knows its place: a Set with as much coming and going keeps nearly all that was
 * ever in it until the next full garbage collection, since V8 links each table that a Set has outgrown to the next one.
 */
export class RunningAttempts {
  readonly #clock: Clock
  readonly #running: RunningAttempt[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Waits for a result, for `timeoutMs` at most, and until `abortAll`: then `attempt` is aborted and the waiter is told AttemptTimeout or AttemptReleased,
   * or what the guard says when its lease is lost. A result that comes later is ignored. `timeoutMs` undefined: somebody else watches the time.
   */
  follow(
    result: PromiseLike<unknown>,
    timeoutMs: number | undefined,
    waiter: Waiter,
    attempt: Abortable | undefined,
    guard: Watch | undefined,
  ): void {
    new RunningAttempt(this.#running, waiter, attempt, guard).begin(result, timeoutMs, this.#clock)
  }

  abortAll(): void {
    for (const attempt of [...this.#running]) attempt.abort(new AttemptReleased())
  }
}

class RunningAttempt implements Abortable {
  /** Where it stands among those that run; -1: it does not run. */
  place = -1
  readonly #all: RunningAttempt[]
  readonly #waiter: Waiter
  readonly #attempt: Abortable | undefined
  readonly #guard: Watch | undefined
  #cancel: Cancel | undefined

  constructor(all: RunningAttempt[], waiter: Waiter, attempt: Abortable | undefined, guard: Watch | undefined) {
    this.#all = all
    this.#waiter = waiter
    this.#attempt = attempt
    this.#guard = guard
  }

  begin(result: PromiseLike<unknown>, timeoutMs: number | undefined, clock: Clock): void {
    this.place = this.#all.push(this) - 1
    if (timeoutMs !== undefined) this.#cancel = clock.schedule(timeoutMs, () => this.abort(new AttemptTimeout(timeoutMs)))
    this.#guard?.watch(this)
    // A promise-like of somebody's own making may throw instead of rejecting: Promise.resolve turns that into a rejection.
    Promise.resolve(result).then(
      value => {
        if (this.#end()) this.#waiter.resolved(value)
      },
      (error: unknown) => {
        if (this.#end()) this.#waiter.rejected(error)
      },
    )
  }

  abort(reason: Error): void {
    if (!this.#end()) return
    this.#attempt?.abort(reason)
    this.#waiter.rejected(reason)
  }

  /** False: it has ended before. */
  #end(): boolean {
    if (this.place < 0) return false
    const last = this.#all.pop()
    if (last !== undefined && last !== this) {
      this.#all[this.place] = last
      last.place = this.place
    }
    this.place = -1
    this.#cancel?.()
    this.#guard?.forget(this)
    return true
  }
}
