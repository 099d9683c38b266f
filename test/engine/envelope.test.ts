import { describe, expect, it } from 'vitest'
import type { EnvelopePlan } from '../../src/compiler/plan.ts'
import { type DecodedEvent, DecodeFailure } from '../../src/engine/decoded-event.ts'
import { decodeRecord } from '../../src/engine/envelope.ts'
import { type RecordParts, record } from './plan-builders.ts'

const intake = (envelope: EnvelopePlan) => ({ envelope, maxMessageBytes: 1024 * 1024 })

const decode = (kind: 'auto' | 'event' | 'cloudevents' | 'raw', parts: RecordParts) => decodeRecord(intake({ kind }), record(parts))

const event = (parts: Partial<DecodedEvent>): DecodedEvent => ({
  id: undefined,
  source: undefined,
  event: undefined,
  data: undefined,
  ...parts,
})

const json = (value: unknown): RecordParts => ({ value: JSON.stringify(value) })

function failure(outcome: DecodedEvent | DecodeFailure): DecodeFailure {
  if (outcome instanceof DecodeFailure) return outcome
  throw new Error(`decoded: ${JSON.stringify(outcome)}`)
}

function decoded(outcome: DecodedEvent | DecodeFailure): DecodedEvent {
  if (outcome instanceof DecodeFailure) throw new Error(`refused: ${outcome.message}`)
  return outcome
}

describe('envelope: event', () => {
  it.each<[string, RecordParts, DecodedEvent]>([
    [
      'id, event and data',
      json({ id: 'a1', event: 'order.created', data: { total: 5 } }),
      event({ id: 'a1', event: 'order.created', data: { total: 5 } }),
    ],
    ['a number as id', json({ id: 17, event: 'e', data: 1 }), event({ id: '17', event: 'e', data: 1 })],
    ['no event', json({ id: 'a', data: 1 }), event({ id: 'a', data: 1 })],
    ['an empty event', json({ id: 'a', event: '', data: 1 }), event({ id: 'a', data: 1 })],
    ['an event that is not text', json({ event: { name: 'x' }, data: 1 }), event({ data: 1 })],
    ['null data', json({ event: 'e', data: null }), event({ event: 'e', data: null })],
    ['no data', json({ event: 'e' }), event({ event: 'e' })],
    ['an empty id', json({ id: '', event: 'e', data: 1 }), event({ event: 'e', data: 1 })],
    ['an id that is a map', json({ id: {}, event: 'e', data: 1 }), event({ event: 'e', data: 1 })],
    ['a tombstone', { value: null }, event({ data: null })],
    ['JSON null', { value: 'null' }, event({ data: null })],
    ['unknown members beside', json({ event: 'e', data: 1, version: 2 }), event({ event: 'e', data: 1 })],
  ])('%s', (_name, parts, expected) => {
    expect(decode('event', parts)).toEqual(expected)
  })

  it.each([
    ['a list', '[1]', 'not-an-envelope', /a list/],
    ['text', '"hello"', 'not-an-envelope', /a string/],
    ['a number', '5', 'not-an-envelope', /a number/],
    ['not JSON', '{"event":', 'not-json', /not JSON/],
    ['an empty value', '', 'not-json', /not JSON/],
  ])('%s is refused', (_name, value, code, message) => {
    expect(failure(decode('event', { value }))).toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('two large numeric ids that JSON numbers cannot tell apart do not become one identity', () => {
    expect(decode('event', { value: '{"id":9007199254740993,"event":"e","data":1}' })).toEqual(event({ event: 'e', data: 1 }))
    expect(decode('event', { value: '{"id":9007199254740991,"event":"e","data":1}' })).toEqual(
      event({ id: '9007199254740991', event: 'e', data: 1 }),
    )
    expect(decode('event', { value: '{"id":1e999,"event":"e","data":1}' })).toEqual(event({ event: 'e', data: 1 }))
  })
})

describe('envelope: raw', () => {
  it.each<[string, RecordParts, unknown]>([
    ['JSON', json({ a: 1 }), { a: 1 }],
    ['an envelope stays as it is', json({ id: 'x', event: 'e', data: 1 }), { id: 'x', event: 'e', data: 1 }],
    ['text that is not JSON', { value: 'hello, wörld' }, 'hello, wörld'],
    ['an empty value', { value: '' }, ''],
    ['other bytes', { value: Buffer.from([0xff, 0xfe, 0x00]) }, Buffer.from([0xff, 0xfe, 0x00])],
    ['JSON text around bytes that are not UTF-8', { value: Buffer.from([0x22, 0xff, 0x22]) }, Buffer.from([0x22, 0xff, 0x22])],
    ['a tombstone', { value: null }, null],
  ])('%s', (_name, parts, data) => {
    expect(decode('raw', parts)).toEqual(event({ event: 'orders', data }))
  })
})

describe('envelope: auto', () => {
  it.each<[string, RecordParts, DecodedEvent]>([
    ['an event envelope', json({ id: '1', event: 'e', data: 2 }), event({ id: '1', event: 'e', data: 2 })],
    ['id and data without event is an envelope without event', json({ id: '1', data: 2 }), event({ id: '1', data: 2 })],
    ['an object without those is raw, named after the topic', json({ total: 5 }), event({ event: 'orders', data: { total: 5 } })],
    ['data alone is raw', json({ data: 5 }), event({ event: 'orders', data: { data: 5 } })],
    ['a list is raw', json([1, 2]), event({ event: 'orders', data: [1, 2] })],
    ['a JSON scalar is raw', json('text'), event({ event: 'orders', data: 'text' })],
    ['a tombstone is raw with null data', { value: null }, event({ event: 'orders', data: null })],
    [
      'a structured CloudEvent comes before the envelope it holds',
      {
        ...json({ specversion: '1.0', id: '1', source: '/s', type: 't', event: 'e', data: 1 }),
        headers: { 'content-type': Buffer.from('application/cloudevents+json') },
      },
      event({ id: '1', source: '/s', event: 't', data: 1 }),
    ],
    [
      'a binary CloudEvent comes before the envelope it holds',
      { ...json({ id: '2', event: 'e', data: 3 }), headers: binaryHeaders() },
      event({ id: 'c1', source: '/shop', event: 'order.created', data: { id: '2', event: 'e', data: 3 } }),
    ],
    [
      'some ce_ headers are not enough',
      { ...json({ id: '2', event: 'e', data: 3 }), headers: { ce_id: Buffer.from('c1'), ce_type: Buffer.from('t') } },
      event({ id: '2', event: 'e', data: 3 }),
    ],
  ])('%s', (_name, parts, expected) => {
    expect(decode('auto', parts)).toEqual(expected)
  })

  it('text that is not JSON is refused: only an explicit raw takes it', () => {
    expect(failure(decode('auto', { value: 'hello' })).code).toBe('not-json')
  })
})

function binaryHeaders(more: Record<string, Buffer | readonly Buffer[]> = {}): Record<string, Buffer | readonly Buffer[]> {
  return {
    ce_specversion: Buffer.from('1.0'),
    ce_id: Buffer.from('c1'),
    ce_source: Buffer.from('/shop'),
    ce_type: Buffer.from('order.created'),
    ...more,
  }
}

describe('CloudEvents, structured', () => {
  const base = { specversion: '1.0', id: 'c1', source: '/shop', type: 'order.created' }
  const structured = (value: unknown, contentType = 'application/cloudevents+json', header = 'content-type'): RecordParts => ({
    value: typeof value === 'string' ? value : JSON.stringify(value),
    headers: { [header]: Buffer.from(contentType) },
  })

  it.each([
    ['as in the binding', 'application/cloudevents+json', 'content-type'],
    ['with a charset', 'application/cloudevents+json; charset=utf-8', 'content-type'],
    ['in any case', 'Application/CloudEvents+JSON', 'content-type'],
    ['under a header name in any case', 'application/cloudevents', 'Content-Type'],
  ])('is recognised %s', (_name, contentType, header) => {
    for (const kind of ['auto', 'cloudevents'] as const)
      expect(decode(kind, structured({ ...base, data: 1 }, contentType, header))).toEqual(
        event({ id: 'c1', source: '/shop', event: 'order.created', data: 1 }),
      )
  })

  it('data_base64 gives bytes', () => {
    expect(decoded(decode('auto', structured({ ...base, data_base64: 'AP8B' }))).data).toEqual(Buffer.from([0, 255, 1]))
  })

  it('null data differs from absent data', () => {
    expect(decoded(decode('auto', structured({ ...base, data: null }))).data).toBeNull()
    expect(decoded(decode('auto', structured(base))).data).toBeUndefined()
  })

  it.each([
    ['data and data_base64', { ...base, data: 1, data_base64: 'AA==' }, /both data and data_base64/],
    ['null data and data_base64', { ...base, data: null, data_base64: 'AA==' }, /both data and data_base64/],
    ['data_base64 that is not text', { ...base, data_base64: 5 }, /not text/],
    ['data_base64 that is not base64', { ...base, data_base64: 'no base64!' }, /not base64/],
    ['data_base64 cut short', { ...base, data_base64: 'AAA' }, /not base64/],
    ['no type', { ...base, type: undefined }, /lacks the attribute type/],
    ['an empty id', { ...base, id: '' }, /lacks the attribute id/],
    ['a number as source', { ...base, source: 5 }, /lacks the attribute source/],
    ['no specversion', { ...base, specversion: undefined }, /lacks the attribute specversion/],
    ['a list', [base], /not a JSON object/],
    ['no JSON', '{', /not a JSON object/],
  ])('%s is refused', (_name, value, message) => {
    expect(failure(decode('auto', structured(value)))).toMatchObject({ code: 'bad-cloud-event', message: expect.stringMatching(message) })
  })

  it('a batch is refused with what would help', () => {
    expect(failure(decode('auto', structured([base], 'application/cloudevents-batch+json'))).message).toMatch(/one record holds one event/)
  })

  it('a record without a value is refused', () => {
    expect(failure(decode('auto', { value: null, headers: { 'content-type': Buffer.from('application/cloudevents') } })).code).toBe(
      'bad-cloud-event',
    )
  })
})

describe('CloudEvents, binary', () => {
  const contentType = (type: string) => ({ 'content-type': Buffer.from(type) })
  it.each<[string, Buffer | string | null, Record<string, Buffer>, unknown]>([
    ['JSON by its content type', '{"a":1}', contentType('application/json; charset=utf-8'), { a: 1 }],
    ['JSON by a suffix', '{"a":1}', contentType('application/vnd.shop+json'), { a: 1 }],
    ['JSON without a content type', '{"a":1}', {}, { a: 1 }],
    ['text without a content type', 'hello', {}, 'hello'],
    ['text', '{"a":1}', contentType('text/plain'), '{"a":1}'],
    ['bytes by their content type', 'abc', contentType('application/octet-stream'), Buffer.from('abc')],
    ['bytes without a content type', Buffer.from([0xff, 1]), {}, Buffer.from([0xff, 1])],
    ['an empty value is no data', '', {}, undefined],
    ['an empty value is no data, whatever its type', '', contentType('application/json'), undefined],
    ['no value is no data', null, {}, undefined],
    ['JSON null is null data', 'null', contentType('application/json'), null],
  ])('%s', (_name, value, headers, data) => {
    for (const kind of ['auto', 'cloudevents'] as const)
      expect(decode(kind, { value, headers: binaryHeaders(headers) })).toEqual(
        event({ id: 'c1', source: '/shop', event: 'order.created', data }),
      )
  })

  it('attributes are UTF-8, and the last of a repeated header counts', () => {
    const headers = binaryHeaders({ ce_id: [Buffer.from('old'), Buffer.from('größe')] })
    expect(decoded(decode('auto', { value: '1', headers })).id).toBe('größe')
  })

  it('a declared JSON value that is not JSON is refused', () => {
    expect(failure(decode('auto', { value: '{', headers: binaryHeaders(contentType('application/json')) })).code).toBe('not-json')
  })

  it('an empty required header is refused by name', () => {
    expect(failure(decode('auto', { value: '1', headers: binaryHeaders({ ce_type: Buffer.from('') }) })).message).toMatch(
      /ce_type is empty/,
    )
  })

  it('a header that is missing makes it no CloudEvent where one is demanded', () => {
    const { ce_source: _left, ...headers } = binaryHeaders()
    expect(failure(decode('cloudevents', { value: '1', headers })).code).toBe('not-a-cloud-event')
  })
})

describe('envelope: a mapping', () => {
  const map = (paths: Omit<Extract<EnvelopePlan, { kind: 'mapping' }>, 'kind'>, parts: RecordParts) =>
    decodeRecord(intake({ kind: 'mapping', ...paths }), record(parts))
  const value = JSON.stringify({ uuid: 'u1', meta: { type: 'made' }, payload: [{ a: 1 }], 'a.b': 2 })

  it.each<[string, Parameters<typeof map>[0], RecordParts, DecodedEvent]>([
    [
      'paths into the value',
      { id: ['value', 'uuid'], event: ['value', 'meta', 'type'], data: ['value', 'payload'] },
      { value },
      event({ id: 'u1', event: 'made', data: [{ a: 1 }] }),
    ],
    ['elements of a list', { event: ['value', 'uuid'], data: ['value', 'payload', '0', 'a'] }, { value }, event({ event: 'u1', data: 1 })],
    [
      'headers',
      { event: ['headers', 'type'], data: ['value', 'uuid'] },
      { value, headers: { type: Buffer.from('t') } },
      event({ event: 't', data: 'u1' }),
    ],
    [
      'a header with dots in its name',
      { event: ['headers', 'x', 'type'] },
      { value: '1', headers: { 'x.type': Buffer.from('t') } },
      event({ event: 't', data: 1 }),
    ],
    ['the key', { id: ['key'], data: ['value', 'uuid'] }, { value, key: 'k1' }, event({ id: 'k1', event: 'orders', data: 'u1' })],
    ['no paths: the topic and the whole value', {}, { value: '[1]' }, event({ event: 'orders', data: [1] })],
    [
      'a path that is not there',
      { id: ['value', 'x', 'y'], event: ['value', 'z'], data: ['value', 'uuid', 'deeper'] },
      { value },
      event({}),
    ],
    ['an event that is not text', { event: ['value', 'payload'] }, { value: '{"payload":5}' }, event({ data: { payload: 5 } })],
    [
      'a tombstone',
      { event: ['headers', 'type'] },
      { value: null, headers: { type: Buffer.from('gone') } },
      event({ event: 'gone', data: null }),
    ],
  ])('%s', (_name, paths, parts, expected) => {
    expect(map(paths, parts)).toEqual(expected)
  })

  it('reads own properties only', () => {
    const paths = { id: ['value', 'constructor', 'name'], event: ['headers', 'toString'], data: ['value', '__proto__'] }
    expect(map(paths, { value: '{}' })).toEqual(event({}))
  })

  it('a value that is not JSON is refused', () => {
    expect(failure(map({}, { value: 'x' })).code).toBe('not-json')
  })
})

describe('hostile records', () => {
  const everyKind: readonly EnvelopePlan[] = [
    { kind: 'auto' },
    { kind: 'event' },
    { kind: 'cloudevents' },
    { kind: 'raw' },
    { kind: 'mapping', id: ['value', 'id'], event: ['value', 'event'], data: ['value', 'data', 'a', 'b'] },
  ]

  it('__proto__ is a key like any other and changes nobody', () => {
    const value = '{"__proto__":{"polluted":1},"event":"e","id":"1","data":{"__proto__":{"polluted":1}}}'
    const { data } = decoded(decode('auto', { value }))
    expect(Object.getOwnPropertyDescriptor(data, '__proto__')?.value).toEqual({ polluted: 1 })
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype)
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  it('an event inherited through __proto__ is no event', () => {
    expect(decode('auto', { value: '{"__proto__":{"event":"admin","id":"1","data":1}}' })).toMatchObject({ event: 'orders' })
  })

  const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
  const inMaps = (levels: number) => `{"id":"1","event":"e","data":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`

  it.each(everyKind.filter(({ kind }) => kind !== 'cloudevents'))('100,000 nested lists or maps are refused under $kind', envelope => {
    for (const value of [nested(100_000), inMaps(100_000)])
      expect(failure(decodeRecord(intake(envelope), record({ value }))).code).toBe('too-deep')
  })

  it('1,000 levels are read, and no more, in CloudEvents too; brackets in text are none', () => {
    expect(decoded(decode('auto', { value: nested(1_000) })).event).toBe('orders')
    expect(failure(decode('auto', { value: nested(1_001) })).code).toBe('too-deep')
    expect(failure(decode('raw', { value: inMaps(1_001) })).code).toBe('too-deep')
    const structured = { 'content-type': Buffer.from('application/cloudevents+json') }
    expect(failure(decode('auto', { value: nested(1_001), headers: structured })).code).toBe('too-deep')
    expect(failure(decode('auto', { value: nested(1_001), headers: binaryHeaders() })).code).toBe('too-deep')
    expect(decoded(decode('auto', { value: JSON.stringify({ event: 'e', data: `\\"${'['.repeat(2_000)}` }) })).event).toBe('e')
    const wide = JSON.stringify({ event: 'e', data: Array.from({ length: 3_000 }, () => ({ a: [] })) })
    expect(decoded(decode('auto', { value: wide })).event).toBe('e')
  })

  it.each(everyKind)('a value over the limit is refused under $kind whatever is in it, and one at the limit is not', envelope => {
    const limited = { envelope, maxMessageBytes: 10 }
    expect(failure(decodeRecord(limited, record({ value: '"123456789"' })))).toEqual(
      new DecodeFailure('too-large', 'the value has 11 bytes, and maxMessage is 10'),
    )
    const outcome = decodeRecord(limited, record({ value: '"12345678"' }))
    expect(outcome instanceof DecodeFailure && outcome.code === 'too-large').toBe(false)
  })

  it.each(['auto', 'event'] as const)('JSON around bytes that are not UTF-8 is refused under %s, not quietly changed', kind => {
    const value = Buffer.concat([Buffer.from('{"event":"e","data":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')])
    expect(failure(decode(kind, { value }))).toMatchObject({ code: 'not-json', message: expect.stringMatching(/UTF-8/) })
  })

  it('a replacement character that was sent as one is kept', () => {
    expect(decoded(decode('auto', { value: JSON.stringify({ event: 'e', data: 'a\uFFFDb' }) })).data).toBe('a\uFFFDb')
  })

  it('a structured CloudEvent of bytes that are not UTF-8 is refused', () => {
    const value = Buffer.concat([
      Buffer.from('{"specversion":"1.0","id":"1","source":"s","type":"t","data":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ])
    expect(failure(decode('cloudevents', { value, headers: { 'content-type': Buffer.from('application/cloudevents') } })).code).toBe(
      'bad-cloud-event',
    )
  })

  it('headers named like members of Object.prototype are only headers', () => {
    const headers = Object.fromEntries([
      ['__proto__', Buffer.from('x')],
      ['constructor', Buffer.from('y')],
    ])
    expect(decode('auto', { value: '{"a":1}', headers })).toEqual(event({ event: 'orders', data: { a: 1 } }))
  })
})
