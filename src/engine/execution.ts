import type { Assignment } from './assignment.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { Batches } from './batch.ts'
import type { Breakers } from './breaker.ts'
import type { SubscriptionCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { DeadLetterWriter } from './dead-letter-writer.ts'
import type { GivenUpLog } from './given-up-log.ts'
import type { KeyScopes } from './idempotency-key.ts'
import type { Places } from './places.ts'
import type { EnginePorts } from './ports.ts'
import { retryDelay } from './retry-delay.ts'

/** How a message or one of its routes ended: `settled` counts towards the commit, `released` does not: it will be delivered again. */
export type Settlement = 'settled' | 'released'

/** How work on a message or one of its routes ended. `settlement`: nothing more of it runs, but its dead letter is still being written. Never rejects. */
export type RunEnd = Settlement | { readonly settlement: Promise<Settlement> }

/** What running one message needs besides its plan. One per subscription, not per message. */
export interface Execution {
  readonly ports: EnginePorts
  readonly counters: SubscriptionCounters
  readonly breakers: Breakers
  readonly batches: Batches
  readonly places: Places
  readonly keyScopes: KeyScopes
  readonly deadLetters: DeadLetterWriter
  readonly givenUpLog: GivenUpLog
  /** Starts nothing more of the partition: `onFailure: stop`. */
  stopPartition(assignment: Assignment): void
}

/** Longest wait for one dead letter or retry to be acknowledged, in ms. */
const writeTimeoutMs = 60_000

const writeWaits = { backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'full' } as const

/** Writes until the broker has acknowledged it, the partition is given up (`released`), or `failed` sees no sense in it. */
export async function untilWritten(
  ports: EnginePorts,
  assignment: Assignment,
  write: () => Promise<void>,
  failed: (error: unknown, retryInMs: number) => 'again' | 'refused',
): Promise<'written' | 'released' | 'refused'> {
  for (let attempt = 1; ; attempt++) {
    try {
      await assignment.settle(write(), writeTimeoutMs)
      return 'written'
    } catch (error) {
      if (error instanceof AttemptReleased) return 'released'
      const retryInMs = retryDelay(writeWaits, attempt, ports.random)
      if (failed(error, retryInMs) === 'refused') return 'refused'
      if (!(await assignment.wait(retryInMs))) return 'released'
    }
  }
}

/** What is said of a failure. Handlers throw what they like: whatever it is, this gives text and never throws. */
export function errorCause(error: unknown): Pick<DeadLetterCause, 'type' | 'message' | 'stack'> {
  try {
    if (error instanceof Error)
      return { type: String(error.name), message: String(error.message), stack: typeof error.stack === 'string' ? error.stack : undefined }
    return { type: 'Error', message: `a handler threw ${typeof error === 'string' ? error : typeof error}`, stack: undefined }
  } catch {
    return { type: 'Error', message: 'a handler threw an error that cannot be read', stack: undefined }
  }
}
