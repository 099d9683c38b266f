import { isUtf8 } from 'node:buffer'
import type { RecordHeaders, SourceRecord } from '../compiler/plan.ts'
import { type DecodedEvent, DecodeFailure, isMap, own } from './decoded-event.ts'
import { parseJson } from './json-value.ts'

// The CloudEvents Kafka protocol binding 1.0 (structured iff `content-type` starts with `application/cloudevents`, else binary by
// `ce_` headers) and the JSON event format 1.0 (`data` or `data_base64`, never both).
const requiredAttributes = ['id', 'source', 'specversion', 'type'] as const

export function isStructuredCloudEvent(headers: RecordHeaders): boolean {
  return header(headers, 'content-type')?.toLowerCase().startsWith('application/cloudevents') ?? false
}

export function isBinaryCloudEvent(headers: RecordHeaders): boolean {
  return 'ce_id' in headers && requiredAttributes.every(name => Object.hasOwn(headers, `ce_${name}`))
}

export function decodeStructuredCloudEvent(record: SourceRecord): DecodedEvent | DecodeFailure {
  if (header(record.headers, 'content-type')?.toLowerCase().startsWith('application/cloudevents-batch'))
    return new DecodeFailure('bad-cloud-event', 'batched CloudEvents are not supported: one record holds one event')
  if (record.value === null) return new DecodeFailure('bad-cloud-event', 'a structured CloudEvent without a value')
  const value = parseJson(record.value)
  if (value instanceof DecodeFailure && value.code !== 'not-json') return value
  if (value instanceof DecodeFailure)
    return new DecodeFailure('bad-cloud-event', `a structured CloudEvent is not a JSON object: ${value.message}`)
  if (!isMap(value)) return new DecodeFailure('bad-cloud-event', 'a structured CloudEvent is not a JSON object')
  const wrong = requiredAttributes.find(name => typeof own(value, name) !== 'string' || own(value, name) === '')
  if (wrong !== undefined) return new DecodeFailure('bad-cloud-event', `the CloudEvent lacks the attribute ${wrong}`)
  const hasData = Object.hasOwn(value, 'data')
  const base64 = own(value, 'data_base64')
  if (hasData && base64 !== undefined) return new DecodeFailure('bad-cloud-event', 'the CloudEvent has both data and data_base64')
  if (base64 !== undefined && typeof base64 !== 'string') return new DecodeFailure('bad-cloud-event', 'data_base64 is not text')
  if (base64 !== undefined && !isBase64(base64)) return new DecodeFailure('bad-cloud-event', 'data_base64 is not base64')
  return {
    id: String(own(value, 'id')),
    source: String(own(value, 'source')),
    event: String(own(value, 'type')),
    data: base64 !== undefined ? Buffer.from(base64, 'base64') : own(value, 'data'),
  }
}

export function decodeBinaryCloudEvent(record: SourceRecord): DecodedEvent | DecodeFailure {
  const wrong = requiredAttributes.find(name => !header(record.headers, `ce_${name}`))
  if (wrong !== undefined) return new DecodeFailure('bad-cloud-event', `the header ce_${wrong} is empty`)
  const data = binaryData(record)
  if (data instanceof DecodeFailure) return data
  return {
    id: header(record.headers, 'ce_id'),
    source: header(record.headers, 'ce_source'),
    event: header(record.headers, 'ce_type'),
    data,
  }
}

function binaryData(record: SourceRecord): unknown {
  if (record.value === null || record.value.length === 0) return undefined
  const contentType = header(record.headers, 'content-type')?.split(';')[0]?.trim().toLowerCase()
  const declaredJson =
    contentType !== undefined && (contentType === 'application/json' || contentType === 'text/json' || contentType.endsWith('+json'))
  if (declaredJson || contentType === undefined) {
    const value = parseJson(record.value)
    if (!(value instanceof DecodeFailure) || value.code !== 'not-json') return value
    if (declaredJson) return new DecodeFailure('not-json', `the content-type is ${contentType} and the value is not JSON`)
  }
  return isUtf8(record.value) && (contentType === undefined || contentType.startsWith('text/'))
    ? record.value.toString('utf8')
    : record.value
}

/** Buffer.from passes over what is not base64: a damaged value would become other bytes. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

/** Header names are compared as written but for `content-type`, which producers write in any case. */
function header(headers: RecordHeaders, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : name === 'content-type' ? contentTypeInAnyCase(headers) : undefined
  return (Buffer.isBuffer(value) ? value : value?.at(-1))?.toString('utf8')
}

function contentTypeInAnyCase(headers: RecordHeaders): RecordHeaders[string] | undefined {
  for (const name in headers) if (name.length === 12 && name.toLowerCase() === 'content-type') return headers[name]
  return undefined
}
