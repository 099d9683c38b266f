import type { Assignment } from './assignment.ts'
import { type Execution, errorCause } from './execution.ts'
import { retryDelay } from './retry-delay.ts'

const waits = { attempts: Number.POSITIVE_INFINITY, backoff: 'exponential', delayMs: 100, maxDelayMs: 1_000, jitter: 'full' } as const

/** True where what the action needs is away, and failed attempts of its messages would say nothing of them: they wait. */
export function keepsAttempt(error: unknown): boolean {
  return error instanceof Error && 'keepsAttempt' in error && error.keepsAttempt === true
}

/** One action of one message that waits for what is away, for as long as that takes and the partition is ours. Said once for all of a subscription. */
export class AwayWait {
  readonly #execution: Execution
  readonly #place: object
  #failures = 0

  constructor(execution: Execution, place: object) {
    this.#execution = execution
    this.#place = place
  }

  /** False: the partition is given up. */
  pause(assignment: Assignment, failure: unknown): Promise<boolean> {
    const { counters, ports } = this.#execution
    if (this.#failures++ === 0 && counters.waitingForHistory++ === 0)
      ports.log.error(
        { ...this.#place, error: errorCause(failure).message },
        'the history does not answer: broadcasts to channels with history wait for it, and their attempts are not used up',
      )
    return assignment.wait(retryDelay(waits, this.#failures, ports.random))
  }

  end(answers: boolean): void {
    if (this.#failures === 0) return
    const { counters, ports } = this.#execution
    if (--counters.waitingForHistory === 0 && answers) ports.log.info({}, 'the history answers again')
  }
}
