import { createHash } from 'node:crypto'
import type { OutgoingRecord } from '../brokers/broker.ts'
import type { Attempt } from '../compiler/plan.ts'
import { type EmitFormat, PermanentError } from './handler.ts'

/** An event on its way to a topic, before it has a format. */
export interface OutgoingEvent {
  readonly topic: string
  readonly key: Buffer | null
  readonly event: string | undefined
  readonly data: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly id: string
  readonly format: EmitFormat
  /** A message whose whole value is null passes on as one: compacted topics delete by it. */
  readonly isTombstone: boolean
  /** CloudEvents `source` where the message had none. */
  readonly source: string
  /** Epoch milliseconds. */
  readonly timestamp: number
}

/** The record for an event. Throws PermanentError for data its format cannot carry. */
export function formatRecord(event: OutgoingEvent): OutgoingRecord {
  const { topic, key } = event
  const headers: Record<string, Buffer> = Object.create(null)
  for (const [name, value] of Object.entries(event.headers)) headers[name] = Buffer.from(value, 'utf8')
  if (event.format === 'cloudevents' && !event.isTombstone)
    headers['content-type'] = Buffer.from('application/cloudevents+json; charset=utf-8', 'utf8')
  return { topic, key, value: event.isTombstone ? null : formatValue(event), headers }
}

/** The same for every attempt, so that who consumes the topic can tell a repetition. */
export function derivedId(attempt: Attempt, ordinal: number): string {
  const parts = [attempt.identity, attempt.route.id, attempt.position, attempt.element ?? '', ordinal]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

function formatValue(event: OutgoingEvent): Buffer | null {
  if (event.format === 'cloudevents') return toJson(cloudEvent(event))
  if (event.format === 'raw') return rawValue(event.data)
  if (event.data instanceof Uint8Array) throw new PermanentError('data is binary: emit it with format: cloudevents or raw')
  return toJson({ id: event.id, event: event.event, data: event.data ?? null })
}

/** CloudEvents 1.0, JSON format. */
function cloudEvent(event: OutgoingEvent): object {
  if (event.event === undefined) throw new PermanentError('a CloudEvent needs an event name: the message has none, so add event:')
  const attributes = {
    specversion: '1.0',
    id: event.id,
    source: event.source,
    type: event.event,
    time: new Date(event.timestamp).toISOString(),
  }
  if (event.data instanceof Uint8Array) return { ...attributes, data_base64: Buffer.from(event.data).toString('base64') }
  return event.data === undefined ? attributes : { ...attributes, datacontenttype: 'application/json', data: event.data }
}

/** Bytes and texts as they are, anything else as JSON, nothing as no value. */
function rawValue(data: unknown): Buffer | null {
  if (data === undefined || data === null) return null
  if (data instanceof Uint8Array) return Buffer.from(data)
  return typeof data === 'string' ? Buffer.from(data, 'utf8') : toJson(data)
}

function toJson(value: unknown): Buffer {
  try {
    return Buffer.from(JSON.stringify(value), 'utf8')
  } catch (error) {
    throw new PermanentError(`data cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  }
}
