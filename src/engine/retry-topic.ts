import type { RetryTopic, SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { type DeadLetterCause, deadLetterRecord, int32, int64, writtenResults } from './dead-letter.ts'
import { type Execution, errorCause } from './execution.ts'
import type { DeadLetterRecord } from './ports.ts'
import type { Seat } from './seat.ts'

/** Where a route goes on of which a part has run: its first action is the one that failed. */
export interface RouteProgress {
  /** Tries that its first action has used up. */
  readonly attempts: number
  /** Elements of its `forEach` that are done. */
  readonly elements: number
  /** How an action before it was given up, under `continueOnError`. */
  readonly gaveUp: 'dead-lettered' | 'failed' | undefined
}

/** One message that is to wait for its next try. */
export interface Retry {
  readonly record: SourceRecord
  readonly assignment: Assignment
  readonly seat: Seat
  readonly topics: readonly RetryTopic[]
  readonly cause: DeadLetterCause
  readonly progress: RouteProgress
  readonly waitMs: number
}

// The names are spring-kafka's (RetryTopicHeaders), and so are the encodings: attempts a 4-byte, times big-endian integers in epoch milliseconds.
const attemptsHeader = 'retry_topic-attempts'
const dueHeader = 'retry_topic-backoff-timestamp'
const firstTimeHeader = 'retry_topic-original-timestamp'
const progressHeader = 'signalbox-progress'

export const retryHeaders: readonly string[] = [attemptsHeader, dueHeader, firstTimeHeader]

/**
 * Hands a message over to a retry topic. The write is tried again for as long as the partition is ours; `refused`: no topic takes this message (it is too
 * large with its headers, or its results are), so that it has to wait where it is.
 */
export async function moveToRetryTopic(execution: Execution, retry: Retry): Promise<'written' | 'released' | 'refused'> {
  const { record, assignment, seat, topics, cause, waitMs } = retry
  const topic = topics.find(({ longestMs }) => longestMs >= waitMs)?.topic ?? topics.at(-1)?.topic
  const isWhole = cause.results === undefined || writtenResults(cause.results) !== undefined
  if (topic === undefined || !isWhole) return 'refused'
  const letter = retryRecord(retry, topic, execution.ports.clock.now() + waitMs)
  const end = await execution.writes.untilWritten({
    topic,
    assignment,
    seat,
    goesOn: false,
    write: () => execution.ports.writeRetry(letter),
    failed: (error, retryInMs) => {
      execution.counters.retryTopicFailures++
      const isRefused = error instanceof Error && 'permanent' in error && error.permanent === true
      const { topic: originalTopic, partition, offset } = record
      execution.ports.log.error(
        { topic, originalTopic, partition, offset, retryInMs, error: errorCause(error).message },
        isRefused
          ? 'the retry topic does not take the message: it waits for its next try in its lane'
          : 'the message could not be written to its retry topic; it stays uncommitted and the write is tried again',
      )
      return isRefused ? 'refused' : 'again'
    },
  })
  if (end === 'written') execution.counters.retriesInTopics++
  return end
}

/** The message as a dead letter would be, and when it is to be tried again. */
function retryRecord({ record, cause, progress }: Retry, topic: string, due: number): DeadLetterRecord {
  const letter = deadLetterRecord(record, topic, cause)
  const { attempts, elements, gaveUp } = progress
  const headers = {
    ...letter.headers,
    // The number of the try that is to come, as spring-kafka counts.
    [attemptsHeader]: int32(attempts + 1),
    [dueHeader]: int64(due),
    [firstTimeHeader]: int64(record.timestamp),
    ...(elements > 0 || gaveUp !== undefined ? { [progressHeader]: Buffer.from(JSON.stringify({ elements, gaveUp })) } : {}),
  }
  return { ...letter, headers }
}

/** When a message in a retry topic may be tried again, in epoch ms; 0 where it does not say. */
export function dueAt({ headers }: SourceRecord): number {
  const value = last(headers[dueHeader])
  return value?.length === 8 ? Number(value.readBigInt64BE()) : 0
}

/** What a record of a retry topic says of the tries before. Undefined where it does not. */
export function readProgress({ headers }: SourceRecord): RouteProgress | undefined {
  const attempts = last(headers[attemptsHeader])
  if (attempts?.length !== 4 || attempts.readInt32BE() < 2) return undefined
  const more = writtenProgress(last(headers[progressHeader]))
  return { attempts: attempts.readInt32BE() - 1, elements: more.elements ?? 0, gaveUp: more.gaveUp }
}

function writtenProgress(bytes: Buffer | undefined): Partial<RouteProgress> {
  if (bytes === undefined) return {}
  try {
    const { elements, gaveUp }: Partial<Record<string, unknown>> = Object(JSON.parse(bytes.toString('utf8')))
    return {
      ...(typeof elements === 'number' && Number.isSafeInteger(elements) && elements > 0 ? { elements } : {}),
      gaveUp: gaveUp === 'dead-lettered' || gaveUp === 'failed' ? gaveUp : undefined,
    }
  } catch {
    return {}
  }
}

function last(value: Buffer | readonly Buffer[] | undefined): Buffer | undefined {
  return Buffer.isBuffer(value) ? value : value?.at(-1)
}
