import type { EnvelopePlan, SourceRecord } from '../compiler/plan.ts'
import type { GivenMessage } from './test-file.ts'

/** Where the clock of a test stands at its start, epoch milliseconds. */
export const testEpoch = Date.UTC(2026, 0, 1)

/** A given message as a producer would write it for a subscription with this envelope. */
export function encodeMessage(envelope: EnvelopePlan, given: GivenMessage, topic: string, offset: number): SourceRecord {
  const { value, headers } = 'value' in given ? { value: bytesOf(given.value), headers: {} } : encodeEvent(envelope, given)
  const own = Object.entries(given.headers ?? {}).map(([name, text]) => [name, Buffer.from(String(text))] as const)
  const timestamp = given.timestamp === undefined ? testEpoch : Date.parse(given.timestamp)
  return {
    topic,
    partition: 0,
    offset,
    timestamp: Number.isNaN(timestamp) ? testEpoch : timestamp,
    key: given.key === undefined ? keyOf(envelope, given) : Buffer.from(given.key),
    value,
    headers: { ...headers, ...Object.fromEntries(own) },
  }
}

interface Encoded {
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer>>
}

function encodeEvent(envelope: EnvelopePlan, given: GivenMessage): Encoded {
  const { id, event, data, source = '/test' } = given
  switch (envelope.kind) {
    case 'auto':
    case 'event':
      return json({ id, event, data })
    case 'cloudevents': {
      const value = { specversion: '1.0', id: id ?? 'test', source, type: event, data }
      return { ...json(value), headers: { 'content-type': Buffer.from('application/cloudevents+json') } }
    }
    case 'raw':
      return { value: bytesOf(data ?? null), headers: {} }
    case 'mapping':
      return encodeMapped(envelope, given)
  }
}

/** Puts id, event and data where the mapping will look for them. */
function encodeMapped({ id, event, data }: Extract<EnvelopePlan, { kind: 'mapping' }>, given: GivenMessage): Encoded {
  const whole: { value?: unknown } = {}
  const headers: Record<string, Buffer> = {}
  for (const [path, part] of [
    [data ?? ['value'], given.data],
    [id, given.id],
    [event, given.event],
  ] as const) {
    if (path === undefined || part === undefined || path[0] === 'key') continue
    if (path[0] === 'headers') headers[path.slice(1).join('.')] = Buffer.from(String(part))
    else setAt(whole, path, part)
  }
  return { value: whole.value === undefined ? null : bytesOf(whole.value), headers }
}

function keyOf(envelope: EnvelopePlan, { id, event }: GivenMessage): Buffer | null {
  if (envelope.kind !== 'mapping') return null
  const text = envelope.id?.[0] === 'key' ? id : envelope.event?.[0] === 'key' ? event : undefined
  return text === undefined ? null : Buffer.from(text)
}

function setAt(target: object, [first, ...rest]: readonly string[], value: unknown): void {
  if (first === undefined) return
  if (rest.length === 0) {
    Object.defineProperty(target, first, { value, enumerable: true, configurable: true, writable: true })
    return
  }
  const known: unknown = Object.hasOwn(target, first) ? Reflect.get(target, first) : undefined
  const inner = typeof known === 'object' && known !== null ? known : {}
  setAt(inner, rest, value)
  setAt(target, [first], inner)
}

function json(value: object): Encoded {
  return { value: Buffer.from(JSON.stringify(value)), headers: {} }
}

/** Text stands for itself, so that values that are not JSON can be given too. */
function bytesOf(value: unknown): Buffer | null {
  if (value === null || value === undefined) return null
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}
