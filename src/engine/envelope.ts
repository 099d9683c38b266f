import { isUtf8 } from 'node:buffer'
import type { EnvelopePlan, RecordHeaders, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { decodeBinaryCloudEvent, decodeStructuredCloudEvent, isBinaryCloudEvent, isStructuredCloudEvent } from './cloud-event.ts'
import { type DecodedEvent, DecodeFailure, identifier, isMap, own } from './decoded-event.ts'
import { parseJson } from './json-value.ts'

/** What a subscription says of the records that it takes. */
export type Intake = Pick<SubscriptionPlan, 'envelope' | 'maxMessageBytes'>

/** Reads a record as its envelope says. A failure is permanent: the same bytes never decode. */
export function decodeRecord({ envelope, maxMessageBytes }: Intake, record: SourceRecord): DecodedEvent | DecodeFailure {
  const bytes = record.value?.length ?? 0
  if (bytes > maxMessageBytes) return new DecodeFailure('too-large', `the value has ${bytes} bytes, and maxMessage is ${maxMessageBytes}`)
  switch (envelope.kind) {
    case 'auto':
      return decodeAuto(record)
    case 'event':
      return decodeEvent(record)
    case 'cloudevents':
      return decodeCloudEvent(record)
    case 'raw':
      return decodeRaw(record)
    case 'mapping':
      return decodeMapping(envelope, record)
  }
}

/** CloudEvents structured, CloudEvents binary, the event envelope, else raw: the order is part of the language. */
function decodeAuto(record: SourceRecord): DecodedEvent | DecodeFailure {
  if (isStructuredCloudEvent(record.headers)) return decodeStructuredCloudEvent(record)
  if (isBinaryCloudEvent(record.headers)) return decodeBinaryCloudEvent(record)
  if (record.value === null) return rawEvent(record, null)
  const value = parseJson(record.value)
  if (value instanceof DecodeFailure) return value
  return isMap(value) && looksLikeEnvelope(value) ? fromEnvelope(value) : rawEvent(record, value)
}

/** An object with an event name, or with `id` and `data`: the latter is an envelope that lacks its event, never a raw event. */
function looksLikeEnvelope(value: Readonly<Record<string, unknown>>): boolean {
  return Object.hasOwn(value, 'event') || (Object.hasOwn(value, 'id') && Object.hasOwn(value, 'data'))
}

function decodeEvent(record: SourceRecord): DecodedEvent | DecodeFailure {
  const value = record.value === null ? null : parseJson(record.value)
  if (value === null) return { id: undefined, source: undefined, event: undefined, data: null }
  if (value instanceof DecodeFailure) return value
  if (!isMap(value))
    return new DecodeFailure(
      'not-an-envelope',
      `the value is ${Array.isArray(value) ? 'a list' : `a ${typeof value}`}, not an object with id, event and data`,
    )
  return fromEnvelope(value)
}

function fromEnvelope(value: Readonly<Record<string, unknown>>): DecodedEvent {
  const event = own(value, 'event')
  return {
    id: identifier(own(value, 'id')),
    source: undefined,
    event: typeof event === 'string' && event !== '' ? event : undefined,
    data: own(value, 'data'),
  }
}

function decodeCloudEvent(record: SourceRecord): DecodedEvent | DecodeFailure {
  if (isStructuredCloudEvent(record.headers)) return decodeStructuredCloudEvent(record)
  if (isBinaryCloudEvent(record.headers)) return decodeBinaryCloudEvent(record)
  return new DecodeFailure(
    'not-a-cloud-event',
    'neither a content-type of application/cloudevents nor the headers ce_id, ce_source, ce_specversion and ce_type',
  )
}

function decodeRaw(record: SourceRecord): DecodedEvent | DecodeFailure {
  if (record.value === null) return rawEvent(record, null)
  const json = parseJson(record.value)
  if (!(json instanceof DecodeFailure)) return rawEvent(record, json)
  if (json.code !== 'not-json') return json
  return rawEvent(record, isUtf8(record.value) ? record.value.toString('utf8') : record.value)
}

function rawEvent(record: SourceRecord, data: unknown): DecodedEvent {
  return { id: undefined, source: undefined, event: record.topic, data }
}

function decodeMapping(envelope: Extract<EnvelopePlan, { kind: 'mapping' }>, record: SourceRecord): DecodedEvent | DecodeFailure {
  const value = record.value === null ? null : parseJson(record.value)
  if (value instanceof DecodeFailure) return value
  const event = envelope.event === undefined ? record.topic : readMapped(envelope.event, value, record)
  return {
    id: envelope.id === undefined ? undefined : identifier(readMapped(envelope.id, value, record)),
    source: undefined,
    event: typeof event === 'string' && event !== '' ? event : undefined,
    data: envelope.data === undefined ? value : readMapped(envelope.data, value, record),
  }
}

function readMapped(path: readonly string[], value: unknown, record: SourceRecord): unknown {
  const [root, ...rest] = path
  if (root === 'key') return record.key?.toString('utf8')
  if (root === 'headers') return headerText(record.headers, rest.join('.'))
  let current = value
  for (const segment of rest) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, segment)) return undefined
    current = Reflect.get(current, segment)
  }
  return current
}

function headerText(headers: RecordHeaders, name: string): string | undefined {
  if (!Object.hasOwn(headers, name)) return undefined
  const value = headers[name]
  return (Buffer.isBuffer(value) ? value : value?.at(-1))?.toString('utf8')
}
