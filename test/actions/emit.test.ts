import { describe, expect, test } from 'vitest'
import { actionProblems, recordOf, running } from './running.ts'

const json = (value: Buffer | null | undefined) => JSON.parse(value?.toString('utf8') ?? 'null')

describe('emit', () => {
  test('in short form passes key, event name and data on, with an id of its own', async () => {
    const { run, recorded, summaries } = running([{ emit: 'order-audit' }])
    await run({ data: { a: 1 }, key: 'k' }, { record: recordOf({ key: Buffer.from('k') }) })
    const [emit] = recorded.emits
    expect(emit).toMatchObject({ broker: 'local', record: { topic: 'order-audit', key: Buffer.from('k') } })
    expect(json(emit?.record.value)).toEqual({ id: expect.stringMatching(/^[0-9a-f]{32}$/), event: 'order.created', data: { a: 1 } })
    expect(summaries).toEqual(['emit order-audit'])
  })

  test('takes topic, key, event, id, headers and data from templates', async () => {
    const { run, recorded } = running([
      {
        emit: {
          topic: 'audit.{{data.region}}',
          key: '{{data.id}}',
          event: 'audit.{{event}}',
          id: 'a-{{id}}',
          data: { n: '{{data.n}}' },
          headers: { trace: '{{headers.trace}}' },
          broker: 'kafka',
        },
      },
    ])
    await run({ data: { region: 'eu', id: 7, n: [1] }, headers: { trace: 't1' } })
    expect(recorded.emits).toEqual([
      {
        broker: 'kafka',
        record: {
          topic: 'audit.eu',
          key: Buffer.from('7'),
          value: Buffer.from('{"id":"a-evt-1","event":"audit.order.created","data":{"n":[1]}}'),
          headers: { trace: Buffer.from('t1') },
        },
      },
    ])
  })

  test('derives the same id for every attempt, and another for another action, element or message', async () => {
    const { run, recorded } = running([{ emit: 'a' }, { emit: 'a' }])
    await run({ data: 1 })
    await run({ data: 1 }, { number: 2 })
    await run({ data: 1 }, {}, 1)
    await run({ data: 1 }, { element: 0 })
    await run({ data: 1 }, { element: 1 })
    await run({ data: 1, id: 'evt-2' })
    const ids = recorded.emits.map(({ record }) => json(record.value).id)
    expect(ids[1]).toBe(ids[0])
    expect(new Set(ids).size).toBe(5)
  })

  test('a lone key that is missing is no key; one that is null or inside a text is an error', async () => {
    const { run, recorded } = running([
      { emit: { topic: 'a', key: '{{key}}' } },
      { emit: { topic: 'a', key: '{{data.k}}' } },
      { emit: { topic: 'a', key: 'k-{{data.k}}' } },
    ])
    await run({ data: {} })
    await run({ data: {} }, {}, 1)
    expect(recorded.emits.map(({ record }) => record.key)).toEqual([null, null])
    expect(() => run({ data: { k: null } }, {}, 1)).toThrow('data.k is null')
    expect(() => run({ data: {} }, {}, 2)).toThrow('data.k is missing')
  })

  test('a key of bytes that are no text stays what it is', async () => {
    const key = Buffer.from([0xff, 0x00, 0x80])
    const { run, recorded } = running([{ emit: { topic: 'a', key: '{{key}}' } }])
    await run({ data: {}, key: key.toString('utf8') }, { record: recordOf({ key }) })
    expect(recorded.emits[0]?.record.key).toEqual(key)
  })

  test('as CloudEvents is structured JSON with its content type', async () => {
    const { run, recorded } = running([{ emit: { topic: 'a', format: 'cloudevents' } }])
    await run({ data: { a: 1 } })
    await run({ data: Buffer.from('bytes'), source: '/shop' })
    await run({ data: undefined })
    const values = recorded.emits.map(({ record }) => json(record.value))
    const shared = { specversion: '1.0', id: expect.any(String), type: 'order.created', time: '2030-01-01T00:00:00.000Z' }
    expect(values).toEqual([
      { ...shared, source: '/orders/one', datacontenttype: 'application/json', data: { a: 1 } },
      { ...shared, source: '/shop', data_base64: Buffer.from('bytes').toString('base64') },
      { ...shared, source: '/orders/one' },
    ])
    expect(recorded.emits[0]?.record.headers['content-type']).toEqual(Buffer.from('application/cloudevents+json; charset=utf-8'))
    expect(() => run({ data: 1, event: undefined })).toThrow(expect.objectContaining({ permanent: true }))
  })

  test.each([
    [{ a: 1 }, '{"a":1}'],
    ['text', 'text'],
    [Buffer.from([1, 2]), '\u0001\u0002'],
    [5, '5'],
    [null, null],
    [undefined, null],
  ])('raw writes the data alone: %j', async (data, expected) => {
    const { run, recorded } = running([{ emit: { topic: 'a', format: 'raw' } }])
    await run({ data })
    expect(recorded.emits[0]?.record.value?.toString() ?? null).toBe(expected)
  })

  test('a tombstone stays one in every format, unless the action brings data', async () => {
    for (const format of ['event', 'cloudevents', 'raw']) {
      const { run, recorded } = running([{ emit: { topic: 'a', format } }, { emit: { topic: 'a', format, data: { gone: true } } }])
      const record = recordOf({ key: Buffer.from('k'), value: null })
      await run({ data: undefined }, { record })
      await run({ data: undefined }, { record }, 1)
      expect(recorded.emits[0]?.record).toMatchObject({ key: Buffer.from('k'), value: null, headers: {} })
      expect(recorded.emits[1]?.record.value?.toString()).toContain('"gone":true')
    }
  })

  test('bytes do not fit the event format', () => {
    const { run } = running([{ emit: 'a' }])
    expect(() => run({ data: Buffer.from('x') })).toThrow('data is binary: emit it with format: cloudevents or raw')
  })

  test('a message without event name is passed on without one', async () => {
    const { run, recorded } = running([{ emit: 'a' }])
    await run({ event: undefined, data: 1 })
    expect(json(recorded.emits[0]?.record.value)).toEqual({ id: expect.any(String), data: 1 })
  })

  test('a topic made by a template has a legal name', () => {
    const { run } = running([{ emit: '{{data.topic}}' }])
    expect(() => run({ data: { topic: 'a/b' } })).toThrow("data.topic has '/' which a topic name does not allow")
    expect(() => run({ data: { topic: '..' } })).toThrow('`..` is not a topic name')
  })

  test('goes to the broker the message came from, whatever that is in this run', async () => {
    const { run, recorded } = running([{ emit: 'a' }])
    await run({ data: 1 }, { broker: 'somewhere' })
    expect(recorded.emits[0]?.broker).toBe('somewhere')
  })

  test('names a broker that exists and a topic that is legal', () => {
    expect(actionProblems([{ emit: { topic: 'a b', broker: 'kafak' } }])).toMatchObject([
      { code: 'template-name' },
      { code: 'broker-unknown', hint: 'Did you mean `kafka`?' },
    ])
  })
})
