import { bench, describe } from 'vitest'
import type { CompiledAction, SourceRecord } from '../../src/compiler/plan.ts'
import type { Clock } from '../../src/engine/ports.ts'
import { SubscriptionProcessor } from '../../src/engine/subscription-processor.ts'
import { action, envelope, record, route, subscription } from '../engine/plan-builders.ts'

const count = 5_000

/** Reads the event, the data and one name out of the data, as a broadcast does before it looks for subscribers. */
const rendered = { characters: 0 }
const broadcast: CompiledAction['run'] = scope => {
  const { data } = scope
  if (scope.event === undefined || typeof data !== 'object' || data === null || !Object.hasOwn(data, 'user_id')) return undefined
  rendered.characters += `private-user.${Reflect.get(data, 'user_id')}`.length
  return undefined
}

/** Never lets a turn end: what is measured is the work, not the waits between turns. */
const stillClock: Clock = {
  now: () => 0,
  monotonic: () => 0,
  schedule: () => () => {},
  yield: callback => callback(),
}

const log = { debug() {}, info() {}, warn() {}, error() {} }

function processor(): SubscriptionProcessor {
  const routes = ['order.created', 'user.updated'].map(event =>
    route(event, [action(broadcast, { kind: 'broadcast' })], { events: [event] }),
  )
  const byEvent = new Map(routes.map(each => [each.events[0], [each]]))
  const plan = { ...subscription(routes), match: (event: string | undefined) => byEvent.get(event) ?? [] }
  const made = new SubscriptionProcessor({
    plan,
    ports: { clock: stillClock, random: Math.random, log, writeDeadLetter: async () => {}, writeRetry: async () => {} },
    rebalanceMs: () => 0,
  })
  made.attach({ pause() {}, resume() {}, commit: async () => {} })
  made.assigned([{ topic: 'orders', partition: 0 }])
  return made
}

const values = Array.from({ length: count }, (_, index) => ({
  key: `user-${index % 100}`,
  value: Buffer.from(envelope('order.created', { user_id: index, total: index * 1.5, status: 'paid' }, `id-${index}`)),
}))

const records: readonly SourceRecord[] = values.map(({ key, value }, offset) => record({ offset, key, value }))

describe(`${count} small events in one delivery`, () => {
  const engine = processor()
  let next = 0

  bench('JSON.parse alone', () => {
    for (const { value } of values) JSON.parse(value.toString('utf8'))
  })

  bench('engine, one synchronous action', () => {
    next += count
    engine.records('orders', 0, records, next, next)
  })
})
