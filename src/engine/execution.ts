import type { DeadLetterPolicy, SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { Batches } from './batch.ts'
import type { Breakers } from './breaker.ts'
import type { SubscriptionCounters } from './counters.ts'
import { type DeadLetterCause, deadLetterRecord } from './dead-letter.ts'
import type { Places } from './places.ts'
import type { EnginePorts } from './ports.ts'
import { retryDelay } from './retry-delay.ts'

/** How a message or one of its routes ended: `settled` counts towards the commit, `released` does not: it will be delivered again. */
export type Settlement = 'settled' | 'released'

/** What running one message needs besides its plan. One per subscription, not per message. */
export interface Execution {
  readonly ports: EnginePorts
  readonly counters: SubscriptionCounters
  readonly breakers: Breakers
  readonly batches: Batches
  readonly places: Places
  /** Starts nothing more of the partition: `onFailure: stop`. */
  stopPartition(assignment: Assignment): void
}

export interface GivenUp {
  readonly record: SourceRecord
  readonly assignment: Assignment
  readonly policy: DeadLetterPolicy
  readonly cause: DeadLetterCause
}

/** Longest wait for one dead letter or retry to be acknowledged, in ms. */
const writeTimeoutMs = 60_000

const writeWaits = { backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'full' } as const

/**
 * Ends a message (or one route of it) that cannot be processed, as its policy says. A dead letter that cannot be written is tried again for
 * as long as the partition is ours: it is never counted as done. Answers what the caller counts.
 */
export async function giveUp(execution: Execution, given: GivenUp): Promise<'dead-lettered' | 'failed' | 'released'> {
  const { record, assignment, policy, cause } = given
  const { log, observer } = execution.ports
  const place = {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    route: cause.route,
    action: cause.action,
    attempts: cause.attempts,
    error: cause.type,
  }
  const topic = policy.kind === 'topic' ? (policy.topic ?? `${record.topic}.dlq`) : undefined
  observer?.gaveUp({
    record,
    route: cause.route,
    action: cause.action,
    attempts: cause.attempts,
    outcome: policy.kind === 'topic' ? 'dead-letter' : policy.onFailure,
    topic,
    error: `${cause.type}: ${cause.message}`,
  })
  if (topic !== undefined) {
    log.warn({ ...place, deadLetterTopic: topic }, `dead-lettered: ${cause.message}`)
    return (await writeDeadLetter(execution, given, topic)) ? 'dead-lettered' : 'released'
  }
  if (policy.kind === 'none' && policy.onFailure === 'skip') {
    log.warn(place, `given up (onFailure: skip): ${cause.message}`)
    return 'failed'
  }
  log.error(place, `partition stopped (onFailure: stop): ${cause.message}`)
  execution.stopPartition(assignment)
  return 'released'
}

async function writeDeadLetter(execution: Execution, { record, assignment, cause }: GivenUp, topic: string): Promise<boolean> {
  const letter = deadLetterRecord(record, topic, cause)
  const end = await untilWritten(
    execution,
    assignment,
    () => execution.ports.writeDeadLetter(letter),
    (error, retryInMs) => {
      execution.counters.deadLetterFailures++
      execution.ports.log.error(
        {
          topic,
          originalTopic: record.topic,
          partition: record.partition,
          offset: record.offset,
          retryInMs,
          error: errorCause(error).message,
        },
        'the dead letter could not be written; the message stays uncommitted and the write is tried again',
      )
      return 'again'
    },
  )
  return end === 'written'
}

/** Writes until the broker has acknowledged it, the partition is given up (`released`), or `failed` sees no sense in it. */
export async function untilWritten(
  { ports }: Execution,
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
