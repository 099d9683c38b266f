import { describe, expect, onTestFinished, test } from 'vitest'
import { ActionSignal, type BatchUse, type RoutePlan } from '../../src/compiler/plan.ts'
import { MessageLog, type MessageNews } from '../../src/inspector/message-log.ts'
import type { MessageView } from '../../src/inspector/message-view.ts'
import { Harness, type HarnessOptions } from '../engine/harness.ts'
import { KeysInMemory } from '../engine/keys-in-memory.ts'
import { action, envelope, type Run, record, route, steadyRetry, subscription } from '../engine/plan-builders.ts'

/** A subscription at work with somebody who looks on. */
function watched(routes: readonly RoutePlan[], options: HarnessOptions = {}) {
  let told: (news: MessageNews) => void = () => {}
  const log = new MessageLog({ generation: () => 3, onNews: news => told(news) })
  onTestFinished(() => log.close())
  const harness = new Harness(subscription(routes), { ...options, observer: log })
  const nextNews = () =>
    new Promise<MessageNews>(resolve => {
      told = resolve
    })
  return { log, harness, nextNews }
}

function only({ all }: MessageLog): MessageView {
  const [message, ...others] = all.messages
  if (message === undefined || others.length > 0) throw new Error(`${all.messages.length} messages are kept`)
  return message
}

const send: Run = () => undefined

describe('a message shows', () => {
  test('the routes that took it, what went out and that it is done', () => {
    const { log, harness } = watched([
      route('paid', [action(send, { kind: 'broadcast' }), action(send, { kind: 'emit' })], { events: ['paid'] }),
      route('other', [action(send)], { events: ['other'] }),
    ])
    harness.send('paid', { total: 3 }, 'k')
    expect(only(log)).toMatchObject({
      id: 1,
      topic: 'orders',
      partition: 0,
      offset: 0,
      key: 'k',
      event: 'paid',
      preview: '{"total":3}',
      state: 'done',
      generation: 3,
      ms: expect.any(Number),
      failures: [],
      routes: [
        {
          route: 'shop/paid',
          state: 'took',
          actions: [
            { position: 0, kind: 'broadcast', state: 'done', attempts: 1, outputs: [{ action: 'broadcast' }] },
            { position: 1, kind: 'emit', state: 'done' },
          ],
        },
      ],
    })
  })

  test('each retry while it waits for it, then how it ended', async () => {
    let attempts = 0
    const flaky: Run = async () => {
      if (++attempts < 3) throw new Error('connection reset')
    }
    const { log, harness } = watched([route('r', [action(flaky)])])
    harness.send('e')
    await harness.clock.settle()
    expect(only(log)).toMatchObject({
      state: 'retrying',
      ms: null,
      routes: [{ actions: [{ state: 'waiting', attempts: 1, why: 'Error: connection reset', retryAt: expect.any(Number) }] }],
    })
    await harness.clock.advance(10_000)
    expect(only(log)).toMatchObject({ state: 'done', routes: [{ actions: [{ state: 'done', attempts: 3, why: null, retryAt: null }] }] })
  })

  test('that it is a dead letter, where and why', async () => {
    const broken: Run = () => {
      throw Object.assign(new Error('no such user'), { name: 'PermanentError' })
    }
    const { log, harness } = watched([route('r', [action(send), action(broken, { kind: 'invoke' })])])
    harness.send('e')
    await harness.clock.settle()
    expect(only(log)).toMatchObject({
      state: 'dead-lettered',
      routes: [{ actions: [{ state: 'done' }, { state: 'failed', why: 'PermanentError: no such user' }] }],
      failures: [
        {
          route: 'shop/r',
          action: '1:invoke',
          attempts: 1,
          outcome: 'dead-letter',
          topic: 'orders.dlq',
          error: 'PermanentError: no such user',
        },
      ],
    })
  })

  test('a value that cannot be decoded as it is', async () => {
    const { log, harness } = watched([route('r', [action(send)])])
    harness.deliver([{ value: 'not json {' }])
    await harness.clock.settle()
    expect(only(log)).toMatchObject({ event: null, preview: 'not json {', state: 'dead-lettered', routes: [], failures: [{ route: null }] })
  })

  test('a condition that did not hold, an action that was left out, and that no route took it', () => {
    const skip: Run = () => new ActionSignal('skip', 'no-event')
    const { log, harness } = watched([
      route('large', [action(send)], { events: ['a'], when: () => false }),
      route('skips', [action(skip)], { events: ['b'] }),
    ])
    for (const event of ['a', 'b', 'c']) harness.send(event)
    expect(log.all.messages.map(({ state, routes }) => ({ state, routes }))).toMatchObject([
      { state: 'left-out', routes: [{ route: 'shop/large', state: 'condition', actions: [] }] },
      { state: 'done', routes: [{ route: 'shop/skips', actions: [{ state: 'skipped', why: 'no-event' }] }] },
      { state: 'left-out', routes: [] },
    ])
  })

  test('that its idempotency key was completed before', async () => {
    const idempotency = { text: 'k', key: () => 'k', ttlMs: 60_000, check: false }
    const { log, harness } = watched([route('r', [action(send)], { idempotency })], { idempotency: clock => new KeysInMemory(clock) })
    harness.send('e')
    harness.send('e')
    await harness.clock.settle()
    expect(log.all.messages.map(({ routes }) => routes[0]?.state)).toEqual(['took', 'duplicate'])
  })
})

describe('a flood', () => {
  test('is sampled and counted, and its failures are shown all the same', async () => {
    const some: Run = ({ offset }) => {
      if (offset === 4_999) throw Object.assign(new Error('poison'), { name: 'PermanentError' })
    }
    const { log, harness, nextNews } = watched([route('r', [action(some)])])
    const news = nextNews()
    harness.deliver(Array.from({ length: 5_000 }, (_, n) => ({ value: envelope('e', { n }) })))
    await harness.clock.settle()
    const { messages, seen, leftOut } = await news
    expect({ shown: messages.length, seen, leftOut }).toEqual({ shown: 41, seen: 5_000, leftOut: 4_959 })
    expect(messages.at(-1)).toMatchObject({ offset: 4_999, state: 'dead-lettered' })
    expect(log.all.messages.length).toBe(41)
  })

  test('never holds more than 500 messages, the last ones', async () => {
    const { log, harness, nextNews } = watched([route('r', [action(send)])])
    for (let burst = 0; burst < 15; burst++) {
      const news = nextNews()
      for (let n = 0; n < 40; n++) harness.send('e', { n })
      await news
    }
    const ids = log.all.messages.map(({ id }) => id)
    expect([ids.length, ids[0], ids.at(-1)]).toEqual([500, 101, 600])
  })

  test('of large messages holds less of them', () => {
    const { log, harness } = watched([route('r', [action(send)])])
    const value = envelope('e', 'x'.repeat(4 * 1024 * 1024))
    for (let n = 0; n < 12; n++) harness.deliver([{ value }])
    expect(log.all.messages.map(({ id }) => id)).toEqual([6, 7, 8, 9, 10, 11, 12])
    expect(JSON.stringify(log.all).length).toBeLessThan(20_000)
  })
})

test('a dead letter that is sent back goes on where it was seen before', () => {
  const log = new MessageLog({ generation: () => 1, onNews: () => {} })
  onTestFinished(() => log.close())
  const plan = subscription([])
  const original = record({ offset: 7, value: envelope('e', {}) })
  log.started(plan, original)
  log.gaveUp({ record: original, route: 'shop/r', action: '0:test', attempts: 1, outcome: 'dead-letter', topic: 'dlq', error: 'Error: x' })
  log.ended(plan, original, 'settled')
  expect(only(log).state).toBe('dead-lettered')
  const carrier = record({ topic: 'app.shop.signalbox-replay', value: envelope('e', {}) })
  log.started(plan, carrier)
  log.replayed(carrier, { ...original })
  log.ended(plan, carrier, 'settled')
  expect(only(log)).toMatchObject({ id: 1, topic: 'orders', offset: 7, state: 'done', failures: [] })
})

test('one record that two subscriptions read is one message', () => {
  const log = new MessageLog({ generation: () => 1, onNews: () => {} })
  onTestFinished(() => log.close())
  const [one, other] = [subscription([]), subscription([], { name: 'other' })]
  const read = record({ offset: 7, value: envelope('e', {}) })
  log.started(one, read)
  log.started(other, { ...read })
  log.ended(one, read, 'settled')
  expect(only(log).state).toBe('running')
  expect(log.all.seen).toBe(1)
})

test('messages of one call have an outcome each', async () => {
  const log = new MessageLog({ generation: () => 1, onNews: () => {} })
  onTestFinished(() => log.close())
  const call: BatchUse['call'] = async members =>
    members.map((_, index) => (index === 0 ? { value: 1 } : { error: new Error('not this one') }))
  const batched = action(send, { kind: 'invoke', retry: { ...steadyRetry, attempts: 1 } })
  const plan = { ...batched, action: { ...batched.action, batch: { size: 2, waitMs: 1_000, call } } }
  const harness = new Harness(subscription([route('r', [plan])]), { observer: log })
  harness.send('e', {}, 'a')
  harness.send('e', {}, 'b')
  await harness.clock.settle()
  expect(log.all.messages.map(({ state, routes }) => [state, routes[0]?.actions[0]?.state])).toEqual([
    ['done', 'done'],
    ['dead-lettered', 'failed'],
  ])
})
