import { describe, expect, it } from 'vitest'
import type { IdempotencyPlan, SubscriptionPlan } from '../../src/compiler/plan.ts'
import { Harness, type Held, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, type Run, route, steadyRetry, subscription } from './plan-builders.ts'

const byKey: IdempotencyPlan = { text: '{{key}}', key: ({ key }) => String(key), ttlMs: 3_600_000, check: false }
const partition = { topic: 'orders', partition: 0 }
const somebody = { owner: 'somebody', leaseMs: 60_000 }
const keyOf = (key: string) => `app.shop/guarded/=${key}`

/** A store that answers after 2 ms; events `guarded`, `plain`, and `both` for two routes of one message. `ran`: route and key of what ran. */
function mixed({ work = () => undefined, ...overrides }: Partial<SubscriptionPlan> & { readonly work?: Run } = {}) {
  const made: { keys?: KeysInMemory } = {}
  const ran: string[] = []
  const noting = (name: string) =>
    action(
      (scope, attempt) => {
        ran.push(`${name} ${scope.key}`)
        return work(scope, attempt)
      },
      { timeoutMs: 1e9, retry: steadyRetry },
    )
  const routes = [
    route('guarded', [noting('guarded')], { events: ['guarded', 'both'], idempotency: byKey }),
    route('plain', [noting('plain')], { events: ['plain', 'both'] }),
  ]
  const harness = new Harness(subscription(routes, overrides), {
    idempotency: clock => {
      made.keys = new KeysInMemory(clock, 'slow')
      return made.keys
    },
  })
  if (made.keys === undefined) throw new Error('the harness takes no keys')
  return { harness, keys: made.keys, ran }
}

/** Runs that wait until the test ends them, by key. */
function waiting() {
  const ends = new Map<unknown, Held>()
  const work: Run = ({ key }) => {
    const end = held()
    ends.set(key, end)
    return end.promise
  }
  return { work, ends }
}

describe('a stop while a claim is under way', () => {
  it.each(['guarded', 'both'])('lets a message (%s) below finished ones run: none of those runs again', async event => {
    const { harness, ran } = mixed()
    harness.send(event, {}, 'a')
    harness.send('plain', {}, 'b')
    harness.send('plain', {}, 'c')
    expect(ran).not.toContain('guarded a')
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(10)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(ran).toContain('guarded a')
    expect(harness.committed()).toBe(3)
  })

  it('of many messages lets those run that have finished ones above, and gives up the keys of the others at once', async () => {
    const { harness, keys, ran } = mixed()
    for (const key of ['a', 'b', 'c']) harness.send('guarded', {}, key)
    harness.send('plain', {}, 'd')
    for (const key of ['e', 'f']) harness.send('guarded', {}, key)
    const left = harness.processor.revoked([partition], false)
    await harness.clock.advance(2)
    expect(keys.claimElsewhere({ ...somebody, key: keyOf('e') })).toBe('claimed')
    await harness.clock.advance(10)
    await left
    expect(ran).toEqual(['plain d', 'guarded a', 'guarded b', 'guarded c'])
    expect(harness.committed()).toBe(4)
  })

  it('also where the message waits for a place: it runs when there is one', async () => {
    const { work, ends } = waiting()
    const { harness, ran } = mixed({ work, concurrency: 2 })
    harness.send('guarded', {}, 'a')
    harness.send('plain', {}, 'b')
    harness.send('plain', {}, 'c')
    await harness.clock.advance(10)
    expect(ran).toEqual(['plain b', 'plain c'])
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(1_000)
    ends.get('b')?.resolve(undefined)
    await harness.clock.settle()
    expect(ran).toEqual(['plain b', 'plain c', 'guarded a'])
    ends.get('a')?.resolve(undefined)
    ends.get('c')?.resolve(undefined)
    await harness.clock.advance(10)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(harness.committed()).toBe(3)
  })

  it('that waits for a place longer than there is time for is released, with its key', async () => {
    const { work, ends } = waiting()
    const { harness, keys, ran } = mixed({ work, concurrency: 2 })
    harness.send('guarded', {}, 'a')
    harness.send('plain', {}, 'b')
    harness.send('plain', {}, 'c')
    await harness.clock.advance(10)
    const drained = harness.processor.drain(1_000)
    await harness.clock.advance(1_000)
    expect(await drained).toMatchObject({ finished: false, released: 3 })
    ends.get('b')?.resolve(undefined)
    await harness.clock.advance(10)
    expect(ran).not.toContain('guarded a')
    expect(keys.claimElsewhere({ ...somebody, key: keyOf('a') })).toBe('claimed')
    expect(harness.clock.waits).toEqual([])
  })

  it('runs also guarded messages that waited in lanes below finished ones', async () => {
    const { harness, ran } = mixed()
    harness.send('guarded', {}, 'a')
    harness.send('guarded', { again: true }, 'a')
    harness.send('plain', {}, 'b')
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(20)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(ran).toEqual(['plain b', 'guarded a'])
    expect(harness.processor.counters.route('shop/guarded').duplicate).toBe(1)
    expect(harness.committed()).toBe(3)
  })

  it.each([
    ['somebody else has the key', 'slow'],
    ['the store is away', 'down'],
  ] as const)('waits for nothing where %s', async (_, mode) => {
    const { harness, keys, ran } = mixed()
    keys.claimElsewhere({ ...somebody, key: keyOf('a') })
    keys.mode = mode
    harness.send('guarded', {}, 'a')
    harness.send('plain', {}, 'b')
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(5)
    expect(await drained).toMatchObject({ finished: true, released: 1 })
    expect(ran).toEqual(['plain b'])
    expect(harness.committed() ?? 0).toBe(0)
  })

  it('goes by where the record lies, also for a message that comes from a retry topic', async () => {
    const retryTopics = [{ topic: 'app.shop.signalbox-retry-1s', longestMs: 1_000 }]
    let fails = true
    const { harness, ran } = mixed({
      retryTopics,
      work: ({ key }) => {
        if (fails && key !== 'b') throw new Error('busy')
      },
    })
    const retry = { ...steadyRetry, delayMs: 1_000, mode: 'topics' as const }
    const routes = harness.processor.plan.routes.map(each => ({ ...each, actions: each.actions.map(one => ({ ...one, retry })) }))
    harness.processor.swap(subscription(routes, { retryTopics }))
    for (let index = 0; index < 100; index++) harness.send('plain', {}, 'b')
    harness.send('guarded', {}, 'a')
    await harness.clock.advance(3)
    harness.send('plain', {}, 'c')
    await harness.clock.advance(2)
    expect(harness.retries).toHaveLength(2)
    fails = false
    await harness.clock.advance(998)
    // The claim that the first one takes again is under way, and the second one has run.
    expect(ran.slice(-2)).toEqual(['plain c', 'plain c'])
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(10)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(ran.at(-1)).toBe('guarded a')
    expect(harness.committed(0, retryTopics[0]?.topic)).toBe(2)
  })
})

describe('a stop while a completion is under way', () => {
  it('waits for it', async () => {
    const { harness, keys } = mixed()
    harness.send('guarded', {}, 'a')
    await harness.clock.advance(2)
    expect(keys.asked).toEqual(['claim', 'complete'])
    const drained = harness.processor.drain(25_000)
    await harness.clock.advance(2)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(harness.committed()).toBe(1)
  })

  it('tries again within the grace period when the store has failed: what has run does not run again', async () => {
    const { work, ends } = waiting()
    const { harness, keys } = mixed({ work })
    harness.send('guarded', {}, 'a')
    await harness.clock.advance(2)
    keys.mode = 'down'
    const drained = harness.processor.drain(25_000)
    ends.get('a')?.resolve(undefined)
    await harness.clock.advance(3_000)
    keys.mode = 'slow'
    await harness.clock.advance(2_000)
    expect(await drained).toMatchObject({ finished: true, released: 0 })
    expect(harness.committed()).toBe(1)
  })

  it('gives up with the grace period, and leaves nothing running', async () => {
    const { work, ends } = waiting()
    const { harness, keys } = mixed({ work })
    harness.send('guarded', {}, 'a')
    await harness.clock.advance(2)
    keys.mode = 'down'
    const drained = harness.processor.drain(5_000)
    ends.get('a')?.resolve(undefined)
    await harness.clock.advance(5_000)
    expect(await drained).toMatchObject({ finished: false, released: 1 })
    expect(harness.committed() ?? 0).toBe(0)
    expect(harness.clock.waits).toEqual([])
  })
})
