import { expect, it } from 'vitest'
import type { IdempotencyPlan } from '../../src/compiler/plan.ts'
import type { Clock } from '../../src/engine/ports.ts'
import { Harness, type Held, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, type Run, route, subscription } from './plan-builders.ts'

const byKey: IdempotencyPlan = { text: '{{key}}', key: ({ key }) => String(key), ttlMs: 3_600_000, check: false }

/** Holds back the answers to completions until the test lets them go. */
class SlowToComplete extends KeysInMemory {
  readonly held: Held<void>[] = []

  override complete(completion: Parameters<KeysInMemory['complete']>[0]): undefined {
    const answer = held<void>()
    this.held.push(answer)
    void answer.promise.then(() => completion.answered(super.complete(completion) === true))
  }
}

interface Options {
  readonly concurrency: number
  readonly mode?: KeysInMemory['mode']
  readonly routes?: readonly string[]
}

function crowd<Keys extends KeysInMemory>(make: (clock: Clock) => Keys, run: Run, { concurrency, routes = ['r'] }: Options) {
  const made: { keys?: Keys } = {}
  const guarded = routes.map(name => route(name, [action(run, { timeoutMs: 1e9 })], { idempotency: byKey }))
  const harness = new Harness(subscription(guarded, { concurrency }), {
    idempotency: clock => {
      made.keys = make(clock)
      return made.keys
    },
  })
  if (made.keys === undefined) throw new Error('the harness takes no keys')
  const send = (count: number, from = 0) => {
    for (let index = from; index < from + count; index++) harness.send('e', {}, `k${index}`)
  }
  return { harness, keys: made.keys, send }
}

/** An action that waits until the test ends it, and knows how many do. */
function waiting() {
  const ends: Held[] = []
  let atWork = 0
  let most = 0
  const run: Run = async () => {
    most = Math.max(most, ++atWork)
    const end = held()
    ends.push(end)
    await end.promise
    atWork--
  }
  return { run, ends, most: () => most, atWork: () => atWork }
}

it('a message that waits for its completion leaves its place to the next', async () => {
  const { harness, keys, send } = crowd(
    clock => new SlowToComplete(clock, 'sync'),
    () => {},
    { concurrency: 1 },
  )
  send(5)
  await harness.clock.settle()
  expect(keys.held).toHaveLength(5)
  expect(harness.position()).toBe(0)
  for (const one of keys.held) one.resolve()
  await harness.clock.settle()
  expect(harness.position()).toBe(5)
})

it('a message with several routes keeps its place while one of them waits for the store', async () => {
  const { harness, keys, send } = crowd(
    clock => new SlowToComplete(clock, 'sync'),
    () => {},
    { concurrency: 1, routes: ['r', 's'] },
  )
  send(2)
  await harness.clock.settle()
  expect(keys.held).toHaveLength(2)
  for (const one of keys.held.splice(0)) one.resolve()
  await harness.clock.settle()
  expect(keys.held).toHaveLength(2)
  expect(harness.position()).toBe(1)
})

it('however many claims are granted at once, no more than `concurrency` messages run', async () => {
  const { run, ends, most, atWork } = waiting()
  const { harness, send } = crowd(clock => new KeysInMemory(clock, 'async'), run, { concurrency: 3 })
  send(40)
  for (let ended = 0; ended < 40; ended++) {
    await harness.clock.settle()
    expect(atWork()).toBe(Math.min(3, 40 - ended))
    ends[ended]?.resolve(undefined)
  }
  await harness.clock.settle()
  expect(most()).toBe(3)
  expect(harness.position()).toBe(40)
})

it('claims are asked for ahead of the places, but not many more than the actions keep up with', async () => {
  const { run, ends } = waiting()
  const { harness, keys, send } = crowd(clock => new KeysInMemory(clock, 'async'), run, { concurrency: 4 })
  send(200)
  await harness.clock.settle()
  expect(ends).toHaveLength(4)
  const claims = keys.asked.filter(what => what === 'claim').length
  expect(claims).toBeGreaterThan(4)
  expect(claims).toBeLessThanOrEqual(4 + 4 + 4)
})

it('a claim that waits for a place longer than its lease is kept, and the message runs when there is one', async () => {
  const { run, ends } = waiting()
  const { harness, keys, send } = crowd(clock => new KeysInMemory(clock, 'async'), run, { concurrency: 2 })
  send(3)
  await harness.clock.advance(100_000)
  expect(ends).toHaveLength(2)
  expect(keys.asked.filter(what => what === 'claim')).toHaveLength(3)
  expect(keys.claimElsewhere({ key: 'app.shop/r/=k2', owner: 'somebody', leaseMs: 1_000 })).toBe('busy')
  for (const ended of [0, 1, 2]) {
    ends[ended]?.resolve(undefined)
    await harness.clock.settle()
  }
  expect(ends).toHaveLength(3)
  expect(harness.position()).toBe(3)
  expect(harness.processor.counters.leasesLost).toBe(0)
})

it('a claim that waits for a place is given up at once when the partition leaves, and the others go on', async () => {
  const { run, ends } = waiting()
  const { harness, keys, send } = crowd(clock => new KeysInMemory(clock, 'async'), run, { concurrency: 2 })
  send(3)
  await harness.clock.settle()
  expect(keys.claimElsewhere({ key: 'app.shop/r/=k2', owner: 'somebody', leaseMs: 1_000 })).toBe('busy')
  const revoked = harness.processor.revoked([{ topic: 'orders', partition: 0 }], false)
  await harness.clock.settle()
  expect(keys.claimElsewhere({ key: 'app.shop/r/=k2', owner: 'somebody', leaseMs: 1_000 })).toBe('claimed')
  ends[0]?.resolve(undefined)
  ends[1]?.resolve(undefined)
  await harness.clock.settle()
  await revoked
  expect(harness.committed()).toBe(2)
  harness.processor.assigned([{ topic: 'orders', partition: 0 }])
  send(2, 5)
  await harness.clock.settle()
  expect(ends).toHaveLength(4)
})

it('keys that others work on for long leave room for those that are free', async () => {
  const { harness, keys, send } = crowd(
    clock => new KeysInMemory(clock, 'async'),
    () => {},
    { concurrency: 4 },
  )
  for (let index = 0; index < 3; index++) keys.claimElsewhere({ key: `app.shop/r/=k${index}`, owner: 'somebody', leaseMs: 1e9 })
  send(50)
  await harness.clock.settle()
  expect(harness.processor.counters.route('shop/r').done).toBe(47)
})
