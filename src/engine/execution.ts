import type { Assignment } from './assignment.ts'
import type { Batches } from './batch.ts'
import type { Breakers } from './breaker.ts'
import type { SubscriptionCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { DeadLetterWriter } from './dead-letter-writer.ts'
import type { GivenUpLog } from './given-up-log.ts'
import type { KeyScopes } from './idempotency-key.ts'
import type { Places } from './places.ts'
import type { EnginePorts } from './ports.ts'
import type { TopicWrites } from './topic-writes.ts'

/** How a message or one of its routes ended: `settled` counts towards the commit, `released` does not: it will be delivered again. */
export type Settlement = 'settled' | 'released'

/** How work on a message or one of its routes ended. */
export type RunEnd = Settlement | Unsettled

/** Nothing more of it runs, but its dead letter is still being written. */
export interface Unsettled {
  /** Tells the one listener, once; at once where it is known already. */
  whenSettled(listener: (settlement: Settlement) => void): void
}

/** As a promise, which never rejects. */
export function settlementOf(end: RunEnd): Settlement | Promise<Settlement> {
  return typeof end === 'string' ? end : new Promise(resolve => end.whenSettled(resolve))
}

/** What running one message needs besides its plan. One per subscription, not per message. */
export interface Execution {
  readonly ports: EnginePorts
  readonly counters: SubscriptionCounters
  readonly breakers: Breakers
  readonly batches: Batches
  readonly places: Places
  readonly keyScopes: KeyScopes
  readonly writes: TopicWrites
  readonly deadLetters: DeadLetterWriter
  readonly givenUpLog: GivenUpLog
  /** What failed on this plan is not to wait for its retry: it is released, to start again on a newer one. */
  startsOver(plan: object): boolean
  /** Starts nothing more of the partition: `onFailure: stop`. */
  stopPartition(assignment: Assignment): void
}

/** What is said of a failure. Handlers throw what they like: whatever it is, this gives text and never throws. */
export function errorCause(error: unknown): Pick<DeadLetterCause, 'type' | 'message' | 'error' | 'causeType'> {
  try {
    if (error instanceof Error)
      return {
        type: String(error.name),
        message: String(error.message),
        error,
        causeType: error.cause instanceof Error ? String(error.cause.name) : undefined,
      }
    return { type: 'Error', message: `a handler threw ${typeof error === 'string' ? error : typeof error}`, error: undefined }
  } catch {
    return { type: 'Error', message: 'a handler threw an error that cannot be read', error: undefined }
  }
}
