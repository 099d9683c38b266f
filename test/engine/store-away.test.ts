import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { IdempotencyPlan } from '../../src/compiler/plan.ts'
import type { Clock } from '../../src/engine/ports.ts'
import { Harness, type Held, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, type Run, route, subscription } from './plan-builders.ts'

const byKey: IdempotencyPlan = { text: '{{key}}', key: ({ key }) => String(key), ttlMs: 3_600_000, check: false }

/**
 * Events `guarded`, `plain`, and `both` for two routes of one message. The runs of routes with `idempotency` and of those without are
 * kept apart.
 */
function mixed<Keys extends KeysInMemory>(
  make: (clock: Clock) => Keys,
  { concurrency = 4, work = () => undefined }: { readonly concurrency?: number; readonly work?: Run } = {},
) {
  const made: { keys?: Keys } = {}
  const ran = { guarded: [] as unknown[], plain: [] as unknown[] }
  const noting = (notes: unknown[]) =>
    action(
      (scope, attempt) => {
        notes.push(scope.key)
        return work(scope, attempt)
      },
      { timeoutMs: 1e9 },
    )
  const routes = [
    route('guarded', [noting(ran.guarded)], { events: ['guarded', 'both'], idempotency: byKey }),
    route('plain', [noting(ran.plain)], { events: ['plain', 'both'] }),
  ]
  const harness = new Harness(subscription(routes, { concurrency }), {
    idempotency: clock => {
      made.keys = make(clock)
      return made.keys
    },
  })
  if (made.keys === undefined) throw new Error('the harness takes no keys')
  let sent = 0
  const send = (event: 'guarded' | 'plain' | 'both', count: number) => {
    for (let index = 0; index < count; index++) harness.send(event, {}, `k${sent++}`)
  }
  const claims = () => made.keys?.asked.filter(what => what === 'claim').length ?? 0
  return { harness, keys: made.keys, ran, send, claims }
}

/** Keys that the store holds as claimed: nobody else gets them. */
function heldKeys(keys: KeysInMemory, count: number): number {
  let heldNow = 0
  for (let index = 0; index < count; index++) {
    const key = `app.shop/guarded/=k${index}`
    const answer = keys.claimElsewhere({ key, owner: 'somebody', leaseMs: 1_000 })
    if (answer === 'busy') heldNow++
    if (answer === 'claimed') keys.releaseElsewhere({ key, owner: 'somebody' })
  }
  return heldNow
}

describe.each(['down', 'hung'] as const)('a store that is %s', mode => {
  it('holds up routes with `idempotency`, and no others of the file', async () => {
    const { harness, ran, send } = mixed(clock => new KeysInMemory(clock, mode))
    send('guarded', 50)
    await harness.clock.advance(5_000)
    send('plain', 50)
    await harness.clock.settle()
    expect(ran.plain).toHaveLength(50)
    send('guarded', 500)
    send('plain', 50)
    await harness.clock.settle()
    expect(ran.plain).toHaveLength(100)
    expect(ran.guarded).toEqual([])
    expect(harness.processor.counters.waitingForStore).toBe(550)
  })

  it('holds no places for messages of which other routes run', async () => {
    const { harness, ran, send } = mixed(clock => new KeysInMemory(clock, mode))
    send('both', 30)
    await harness.clock.advance(5_000)
    expect(ran.plain).toHaveLength(30)
    expect(ran.guarded).toEqual([])
    expect(harness.position()).toBe(0)
  })

  it('is asked by one message now and then, however many wait', async () => {
    const { harness, send, claims } = mixed(clock => new KeysInMemory(clock, mode))
    send('guarded', 2_000)
    await harness.clock.advance(10_000)
    const before = claims()
    await harness.clock.advance(60_000)
    expect(claims() - before).toBeGreaterThan(10)
    expect(claims() - before).toBeLessThanOrEqual(61)
  })

  it('and is back lets all go on, no more at a time than there are places, and holds few keys ahead', async () => {
    const concurrency = 4
    const ends: Held[] = []
    const work = () => {
      const end = held()
      ends.push(end)
      return end.promise
    }
    const { harness, keys, ran, send } = mixed(clock => new KeysInMemory(clock, mode), { concurrency, work })
    send('guarded', 300)
    await harness.clock.advance(20_000)
    keys.mode = 'async'
    await harness.clock.advance(10_000)
    for (let ended = 0; ended < 300; ended++) {
      expect(ran.guarded.length - ended).toBe(Math.min(concurrency, 300 - ended))
      if (ended % 50 === 0) expect(heldKeys(keys, 300)).toBeLessThanOrEqual(ended === 0 ? 4 * concurrency : 64)
      ends[ended]?.resolve(undefined)
      await harness.clock.settle()
    }
    expect(ran.guarded.length).toBe(300)
    expect(harness.position()).toBe(300)
    expect(harness.processor.counters).toMatchObject({ waitingForStore: 0, leasesLost: 0 })
  })

  it('leaves no timer behind when the partition leaves', async () => {
    const { harness, send } = mixed(clock => new KeysInMemory(clock, mode))
    send('guarded', 20)
    send('both', 20)
    await harness.clock.advance(10_000)
    const drained = harness.processor.drain(25_000)
    await harness.clock.settle()
    await harness.clock.advance(mode === 'hung' ? 5_000 : 0)
    expect((await drained).released).toBe(40)
    expect(harness.clock.waits).toEqual([])
  })
})

/** Takes claims and stores no completion until it is told to. */
class CannotComplete extends KeysInMemory {
  isFull = true

  override complete(completion: Parameters<KeysInMemory['complete']>[0]) {
    if (!this.isFull) return super.complete(completion)
    queueMicrotask(() => completion.failed(new Error('out of memory')))
    return undefined
  }
}

describe('a store that takes claims and stores no completion', () => {
  it('holds up no other routes, and lets few messages run that it cannot complete', async () => {
    const { harness, keys, ran, send } = mixed(clock => new CannotComplete(clock, 'async'))
    send('guarded', 500)
    await harness.clock.settle()
    const before = ran.guarded.length
    expect(before).toBeLessThan(100)
    await harness.clock.advance(20_000)
    expect(ran.guarded.length - before).toBeLessThanOrEqual(25)
    send('plain', 50)
    await harness.clock.settle()
    expect(ran.plain).toHaveLength(50)
    keys.isFull = false
    await harness.clock.advance(5_000)
    expect(harness.position()).toBe(550)
    expect(new Set(ran.guarded).size).toBe(ran.guarded.length)
  })

  it('is forgotten with the messages that it could not complete: others are not held up for long', async () => {
    const { harness, keys, ran, send } = mixed(clock => new CannotComplete(clock, 'async'))
    for (let index = 100; index < 200; index++)
      keys.completeElsewhere({ key: `app.shop/guarded/=k${index}`, owner: 'somebody', ttlMs: 1e9, check: '' })
    send('guarded', 1)
    await harness.clock.settle()
    await harness.processor.revoked([{ topic: 'orders', partition: 0 }], true)
    harness.processor.assigned([{ topic: 'orders', partition: 0 }])
    await harness.clock.advance(2_000)
    expect(ran.guarded).toEqual(['k0'])
    for (let index = 100; index < 200; index++) harness.send('guarded', {}, `k${index}`)
    await harness.clock.advance(1_000)
    expect(harness.processor.counters.route('shop/guarded').duplicate).toBe(100)
  })
})

/** Never answers for one key. */
class DeafForOne extends KeysInMemory {
  override claim(claim: Parameters<KeysInMemory['claim']>[0]) {
    if (claim.key !== 'k0') return super.claim(claim)
    queueMicrotask(() => claim.failed(new Error('wrong type')))
    return undefined
  }
}

it('a key that the store cannot answer for holds up nobody else, and is not asked for without a pause', async () => {
  const { harness, ran, send, claims } = mixed(clock => new DeafForOne(clock, 'async'))
  for (let second = 0; second < 20; second++) {
    send('guarded', 50)
    await harness.clock.advance(1_000)
  }
  expect(ran.guarded).toHaveLength(999)
  expect(harness.position()).toBe(0)
  expect(claims()).toBe(999)
  expect(harness.processor.counters.storeFailures).toBeLessThan(60)
})

it('whenever the store goes and comes back: plain messages never wait for it, places are kept, nothing is lost', async () => {
  const concurrency = 3
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ event: fc.constantFrom('guarded', 'plain', 'both'), count: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 2, arbitrary: fc.record({ mode: fc.constantFrom('async', 'slow', 'down', 'hung', 'deaf') }) },
    { weight: 3, arbitrary: fc.record({ ms: fc.integer({ min: 0, max: 7_000 }) }) },
    { weight: 3, arbitrary: fc.record({ ends: fc.integer({ min: 1, max: 10 }) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const ends: Held[] = []
      let most = 0
      let atWork = 0
      const work = async () => {
        most = Math.max(most, ++atWork)
        const end = held()
        ends.push(end)
        await end.promise
        atWork--
      }
      const { harness, keys, ran, send } = mixed(clock => new KeysInMemory(clock, 'async'), { concurrency, work })
      let [sent, plain] = [0, 0]
      const finish = async (count = Number.POSITIVE_INFINITY) => {
        for (let ended = 0; ended < count && ends.length > 0; ended++) {
          ends.shift()?.resolve(undefined)
          await harness.clock.settle()
        }
      }
      for (const each of steps) {
        if ('event' in each) {
          send(each.event, each.count)
          sent += each.count
          if (each.event !== 'guarded') plain += each.count
        } else if ('mode' in each) keys.mode = each.mode
        else if ('ends' in each) await finish(each.ends)
        else await harness.clock.advance(each.ms)
        // A message of two routes takes one place for both.
        expect(most).toBeLessThanOrEqual(2 * concurrency)
      }
      // The store is away for good: what does not need it runs to its end.
      keys.mode = 'down'
      await harness.clock.advance(10_000)
      await finish()
      await harness.clock.advance(10_000)
      await finish()
      expect(ran.plain).toHaveLength(plain)
      expect(harness.processor.counters.route('shop/plain').done).toBe(plain)
      keys.mode = 'async'
      for (let round = 0; harness.position() !== sent && round < 20; round++) {
        await harness.clock.advance(40_000)
        await finish()
      }
      if (sent > 0) expect(harness.position()).toBe(sent)
      expect(harness.processor.counters.waitingForStore).toBe(0)
      expect(new Set(ran.guarded).size).toBe(harness.processor.counters.route('shop/guarded').done)
    }),
    { numRuns: 40 },
  )
})
