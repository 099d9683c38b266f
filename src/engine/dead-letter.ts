import type { RecordHeaders, SourceRecord } from '../compiler/plan.ts'
import type { DeadLetterRecord } from './ports.ts'
import { stackOf } from './stack-of.ts'

/** Why a message goes to a dead-letter topic. */
export interface DeadLetterCause {
  readonly group: string
  /** `<subscription>/<route>`; undefined where no route was involved (undecodable, unmatched). */
  readonly route: string | undefined
  /** Position and kind of the action that failed, such as `1:broadcast`. */
  readonly action: string | undefined
  readonly attempts: number
  /** The failure's type, such as `PermanentError` or `not-json`. */
  readonly type: string
  readonly message: string
  /** What was thrown: its stack goes into the letter. */
  readonly error: Error | undefined
  /** The type of the error that it wraps, if it wraps one. */
  readonly causeType?: string | undefined
  /** What the actions before it had returned: a replay goes on with it. */
  readonly results?: Readonly<Record<string, unknown>> | undefined
}

const maxMessageLength = 1000
const maxStackLength = 4000
const maxResultsBytes = 64 * 1024
const prefix = 'kafka_dlt-'
const stackHeader = 'kafka_dlt-exception-stacktrace'
/** On a letter without its message: the bytes of the value that it leaves out. */
export const referenceHeader = 'signalbox-reference'

/**
 * The record for the dead-letter topic: the original key, value and headers byte for byte, and why it is there. Header names and
 * encodings (partition as a 4-byte, offset and timestamp as 8-byte big-endian integers) are those of spring-kafka's
 * DeadLetterPublishingRecoverer, so that existing tools read them.
 */
export function deadLetterRecord(record: SourceRecord, topic: string, cause: DeadLetterCause): DeadLetterRecord {
  const added: Record<string, Buffer> = {
    'kafka_dlt-original-topic': bytesOf(record.topic),
    'kafka_dlt-original-partition': int32(record.partition),
    'kafka_dlt-original-offset': int64(record.offset),
    'kafka_dlt-original-timestamp': int64(record.timestamp),
    'kafka_dlt-original-timestamp-type': bytesOf(record.timestampType ?? 'CreateTime'),
    'kafka_dlt-original-consumer-group': bytesOf(cause.group),
    'kafka_dlt-exception-fqcn': bytesOf(cause.type),
    'kafka_dlt-exception-message': Buffer.from(cause.message.slice(0, maxMessageLength)),
    'signalbox-attempts': bytesOf(String(cause.attempts)),
  }
  if (cause.causeType !== undefined) added['kafka_dlt-exception-cause-fqcn'] = bytesOf(cause.causeType)
  const stack = stackOf(cause.error)
  if (stack !== undefined) added[stackHeader] = Buffer.from(stack.slice(0, maxStackLength))
  if (cause.route !== undefined) added['signalbox-route'] = bytesOf(cause.route)
  if (cause.action !== undefined) added['signalbox-action'] = bytesOf(cause.action)
  const results = writtenResults(cause.results)
  if (results !== undefined) added['signalbox-results'] = results
  const own = withoutOlderCause(record.headers)
  return { topic, key: record.key, value: record.value, headers: own === undefined ? added : { ...own, ...added } }
}

/** What many letters say in the same words: routes, actions, topics, types. Handlers name their errors as they like, so that these are not kept for ever. */
const texts = new Map<string, Buffer>()
const mostTexts = 1_000
const longestText = 200

function bytesOf(text: string): Buffer {
  const known = texts.get(text)
  if (known !== undefined) return known
  const bytes = Buffer.from(text)
  if (text.length > longestText) return bytes
  if (texts.size >= mostTexts) texts.clear()
  texts.set(text, bytes)
  return bytes
}

const olderCause: ReadonlySet<string> = new Set([
  'signalbox-route',
  'signalbox-action',
  'signalbox-attempts',
  'signalbox-results',
  referenceHeader,
])

/** A replayed message that fails again says why it failed this time, not both times. Undefined where there are no headers at all. */
function withoutOlderCause(headers: RecordHeaders): RecordHeaders | undefined {
  if (Object.keys(headers).length === 0) return undefined
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(prefix) && !olderCause.has(name)))
}

/** Undefined for results that JSON cannot say, or that are too large for a header. */
export function writtenResults(results: DeadLetterCause['results']): Buffer | undefined {
  if (results === undefined) return undefined
  try {
    const bytes = Buffer.from(JSON.stringify(results))
    return bytes.length > maxResultsBytes ? undefined : bytes
  } catch {
    return undefined
  }
}

/** Longest key of a reference, in bytes: a larger one may be what is too large. */
const maxReferenceKey = 1024

/** For a letter that its topic does not take: where the message lies and why it failed, without the message and without a stack. */
export function letterReference({ topic, key, value, headers }: DeadLetterRecord): DeadLetterRecord {
  const added = Object.entries(headers).filter(
    ([name]) => (name.startsWith(prefix) && name !== stackHeader) || name.startsWith('signalbox-'),
  )
  const size = Buffer.from(String(value?.length ?? 0))
  return {
    topic,
    key: key !== null && key.length > maxReferenceKey ? null : key,
    value: null,
    headers: { ...Object.fromEntries(added), [referenceHeader]: size },
  }
}

export function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

/** A producer chooses the timestamp: the largest that Kafka takes is rounded up past 64 bits by a double. */
const largestInt64 = 2n ** 63n - 1n

export function int64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  if (Number.isSafeInteger(value)) {
    bytes.writeInt32BE(Math.floor(value / 2 ** 32))
    bytes.writeUInt32BE(value >>> 0, 4)
  } else {
    const exact = BigInt(value)
    bytes.writeBigInt64BE(exact > largestInt64 ? largestInt64 : exact)
  }
  return bytes
}
