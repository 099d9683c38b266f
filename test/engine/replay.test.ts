import { describe, expect, test } from 'vitest'
import type { RoutePlan, SourceRecord } from '../../src/compiler/plan.ts'
import type { DeadLetterRecord } from '../../src/engine/ports.ts'
import { Harness } from './harness.ts'
import { action, envelope, noting, type Run, record, route, subscription } from './plan-builders.ts'

const topic = 'app.shop.signalbox-replay'
const once = { attempts: 1, backoff: 'fixed', delayMs: 0, maxDelayMs: 0, jitter: 'none', mode: 'in-order' } as const

const fails: Run = () => {
  throw new TypeError('no')
}

/** Delivers a dead letter as `router dlq replay` sends it back. */
function replay(harness: Harness, letter: DeadLetterRecord, headers: SourceRecord['headers'] = {}): void {
  harness.processor.assigned([{ topic, partition: 0 }])
  const { key, value } = letter
  const back = { ...record({ topic, offset: 0 }), key, value, headers: { ...letter.headers, ...headers } }
  harness.processor.records(topic, 0, [back], 1, 1)
}

/** What a plan leaves in the dead-letter topic for one message. */
async function letterOf(routes: readonly RoutePlan[]): Promise<DeadLetterRecord> {
  const harness = new Harness(subscription(routes))
  const message = record({ offset: 41, key: 'k', value: envelope('order.created', { a: 1 }), headers: { trace: Buffer.from('t') } })
  harness.deliverRecords([{ ...message, timestampType: 'LogAppendTime' }])
  await harness.clock.runOut()
  const [letter] = harness.letters
  if (letter === undefined) throw new Error('no dead letter')
  return letter
}

describe('a dead letter that is sent back', () => {
  test('runs only the route that failed, from the failed action on, as the message it was', async () => {
    const first = noting<string>([], () => 'ran', { url: 'https://receipt' })
    const failing = await letterOf([
      route('other', [action(() => undefined)]),
      route('one', [action(first, { as: 'receipt' }), action(fails, { retry: once })]),
    ])
    const notes: unknown[] = []
    const mended = new Harness(
      subscription([
        route('other', [action(noting(notes, () => 'other'))]),
        route('one', [
          action(
            noting(notes, () => 'first'),
            { as: 'receipt' },
          ),
          action(
            noting(notes, (scope, attempt) => ({
              topic: scope.topic,
              partition: scope.partition,
              offset: scope.offset,
              key: scope.key,
              data: scope.data,
              headers: scope.headers,
              results: scope.results,
              position: attempt.position,
              identity: attempt.identity,
            })),
          ),
          action(noting(notes, () => 'last')),
        ]),
      ]),
    )
    replay(mended, failing, { 'signalbox-replays': Buffer.from('1') })
    await mended.clock.runOut()
    expect(notes).toEqual([
      {
        topic: 'orders',
        partition: 0,
        offset: 41,
        key: 'k',
        data: { a: 1 },
        headers: { trace: 't', 'signalbox-replays': '1' },
        results: { receipt: { url: 'https://receipt' } },
        position: 1,
        identity: 'orders/0/41',
      },
      'last',
    ])
    expect(mended.letters).toEqual([])
    expect(mended.commits.flat()).toContainEqual({ topic, partition: 0, offset: 1 })
  })

  test('that fails again is dead-lettered as the message it was, and says that it was replayed', async () => {
    const plan = [route('one', [action(() => 'result', { as: 'kept' }), action(fails, { retry: once })])]
    const harness = new Harness(subscription(plan))
    const letter = await letterOf(plan)
    replay(harness, letter, { 'signalbox-replays': Buffer.from('1') })
    await harness.clock.runOut()
    const { 'signalbox-replays': replays, ...headers } = harness.letters[0]?.headers ?? {}
    expect(String(replays)).toBe('1')
    expect(String(headers['kafka_dlt-original-timestamp-type'])).toBe('LogAppendTime')
    // The stack is another one.
    const stack = { 'kafka_dlt-exception-stacktrace': expect.anything() }
    expect({ ...harness.letters[0], headers }).toEqual({ ...letter, headers: { ...letter.headers, ...stack } })
  })

  test.each([
    ['the route shop/one is not there any more', [route('two', [action(() => undefined)])]],
    ['the route shop/one has no action 1:test any more', [route('one', [action(() => undefined)])]],
    ['the route shop/one has no action 1:test any more', [route('one', [action(() => 1), action(() => 1, { kind: 'emit' })])]],
    [
      'the letter does not hold what the actions before 1:test returned',
      [route('one', [action(() => 1, { as: 'x' }), action(() => undefined)])],
    ],
  ])('goes back where that route has changed too much: %s', async (message, routes) => {
    const letter = await letterOf([route('one', [action(() => 1), action(fails, { retry: once })])])
    const harness = new Harness(subscription(routes))
    replay(harness, letter)
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(1)
    const { headers, ...rest } = harness.letters[0] ?? letter
    expect(rest).toEqual({ topic: 'orders.dlq', key: letter.key, value: letter.value })
    expect(String(headers['kafka_dlt-exception-message'])).toBe(message)
    expect(String(headers['signalbox-route'])).toBe('shop/one')
    expect(String(headers['signalbox-action'])).toBe('1:test')
  })

  test('without a route runs as a new message does', async () => {
    const wrong = new Harness(subscription([]))
    wrong.deliver([{ value: '{broken' }])
    await wrong.clock.runOut()
    const [letter] = wrong.letters
    const notes: unknown[] = []
    const harness = new Harness(subscription([route('one', [action(noting(notes, ({ data }) => data))])], { envelope: { kind: 'raw' } }))
    if (letter !== undefined) replay(harness, letter)
    await harness.clock.runOut()
    expect(notes).toEqual(['{broken'])
  })

  test('somewhere else leaves a note that changes nothing', async () => {
    const notes: unknown[] = []
    const harness = new Harness(subscription([route('one', [action(noting(notes, () => 1))])]))
    replay(harness, { topic, key: null, value: null, headers: {} }, { 'signalbox-replay-to': Buffer.from('orders') })
    await harness.clock.runOut()
    expect([notes, harness.letters, harness.processor.counters.skips.get('replayed-elsewhere')]).toEqual([[], [], 1])
    expect(harness.commits.flat()).toContainEqual({ topic, partition: 0, offset: 1 })
  })

  test('is dead-lettered where it is none', async () => {
    const harness = new Harness(subscription([]))
    replay(harness, { topic, key: null, value: Buffer.from('x'), headers: { 'kafka_dlt-original-offset': Buffer.from('nine') } })
    await harness.clock.runOut()
    expect(String(harness.letters[0]?.headers['kafka_dlt-exception-message'])).toBe('the record has not the headers of a dead letter')
  })
})
