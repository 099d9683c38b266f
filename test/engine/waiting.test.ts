import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { IdempotencyPlan } from '../../src/compiler/plan.ts'
import { readDoneAhead } from '../../src/engine/done-ahead.ts'
import { Harness, type Held, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, envelope, noDeadLetter, route, steadyRetry, subscription } from './plan-builders.ts'

const byKey: IdempotencyPlan = { text: '{{key}}', key: ({ key }) => String(key), ttlMs: 3_600_000, check: false }
const patient = { deadLetter: noDeadLetter, timeoutMs: 1e9 }

/** Messages that a test ends or fails, and how many of them are in a call at once. */
class Crowd {
  readonly calls: { readonly data: unknown; readonly end: Held }[] = []
  readonly #atWork = new Map<unknown, number>()
  most = 0

  readonly run = async ({ data }: { readonly data: unknown }): Promise<void> => {
    this.#atWork.set(data, (this.#atWork.get(data) ?? 0) + 1)
    this.most = Math.max(this.most, this.#atWork.size)
    const end = held()
    this.calls.push({ data, end })
    try {
      await end.promise
    } finally {
      const left = (this.#atWork.get(data) ?? 1) - 1
      if (left === 0) this.#atWork.delete(data)
      else this.#atWork.set(data, left)
    }
  }

  take(data: unknown): Held {
    const index = this.calls.findIndex(call => call.data === data)
    const [call] = index < 0 ? [] : this.calls.splice(index, 1)
    if (call === undefined) throw new Error(`${data} is not in a call`)
    return call.end
  }

  get atWork(): unknown[] {
    return [...this.#atWork.keys()]
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: envelope('e', index) }))

describe('what only waits has no place', () => {
  it('a message that waits for a retry leaves its place to another, and takes one again before its next try', async () => {
    const crowd = new Crowd()
    const plan = subscription([route('r', [action(crowd.run, { ...patient, retry: { ...steadyRetry, attempts: 3 } })])], { concurrency: 1 })
    const harness = new Harness(plan)
    harness.deliver(numbered(3))
    await harness.clock.settle()
    expect(crowd.atWork).toEqual([0])
    crowd.take(0).reject(new Error('not yet'))
    await harness.clock.settle()
    expect(crowd.atWork).toEqual([1])
    await harness.clock.advance(100_000)
    expect(crowd.atWork).toEqual([1])
    crowd.take(1).resolve(null)
    await harness.clock.settle()
    // What comes back goes before what has not started.
    expect(crowd.atWork).toEqual([0])
    crowd.take(0).resolve(null)
    await harness.clock.settle()
    crowd.take(2).resolve(null)
    await harness.clock.settle()
    expect(harness.position()).toBe(3)
    expect(crowd.most).toBe(1)
  })

  it('a message that waits for a place after its retry is released when the partition leaves', async () => {
    const crowd = new Crowd()
    const plan = subscription([route('r', [action(crowd.run, { ...patient, retry: { ...steadyRetry, attempts: 3 } })])], { concurrency: 1 })
    const harness = new Harness(plan)
    harness.deliver(numbered(2))
    await harness.clock.settle()
    crowd.take(0).reject(new Error('not yet'))
    await harness.clock.settle()
    await harness.clock.advance(100_000)
    const revoked = harness.processor.revoked([{ topic: 'orders', partition: 0 }], false)
    crowd.take(1).resolve(null)
    await harness.clock.settle()
    await revoked
    expect(harness.committed()).toBe(0)
    harness.processor.assigned([{ topic: 'orders', partition: 0 }])
    harness.deliver(numbered(1))
    await harness.clock.settle()
    expect(crowd.atWork).toEqual([0])
  })

  it('messages that wait for an open breaker leave their places to those of other actions', async () => {
    const crowd = new Crowd()
    const failing = action(
      async () => {
        throw new Error('down')
      },
      { ...patient, retry: { ...steadyRetry, attempts: 100 }, breaker: { failures: 2, resetMs: 10_000 } },
    )
    const plan = subscription(
      [route('down', [failing], { events: ['down'] }), route('up', [action(crowd.run, patient)], { events: ['up'] })],
      {
        concurrency: 2,
      },
    )
    const harness = new Harness(plan)
    for (let index = 0; index < 10; index++) harness.send('down', index, `d${index}`)
    await harness.clock.settle()
    await harness.clock.advance(5_000)
    expect(harness.processor.counters.breakersOpen).toBe(1)
    for (let index = 0; index < 3; index++) harness.send('up', index, `u${index}`)
    await harness.clock.settle()
    expect(crowd.atWork).toEqual([0, 1])
  })

  it('messages whose keys are worked on elsewhere leave their places, however many they are', async () => {
    const made: { keys?: KeysInMemory } = {}
    const plan = subscription([route('r', [action(() => {}, patient)], { idempotency: byKey })], { concurrency: 2 })
    const harness = new Harness(plan, {
      idempotency: clock => {
        made.keys = new KeysInMemory(clock, 'async')
        return made.keys
      },
    })
    for (let index = 0; index < 20; index++) made.keys?.claimElsewhere({ key: `app.shop/r/=k${index}`, owner: 'somebody', leaseMs: 1e9 })
    harness.deliver(numbered(50))
    await harness.clock.settle()
    expect(harness.processor.counters.route('shop/r').done).toBe(30)
  })

  it('a message of which one route is at work keeps its place while another waits for a retry', async () => {
    const crowd = new Crowd()
    let failures = 1
    const once = action(
      async ({ data }) => {
        if (data === 0 && failures-- > 0) throw new Error('not yet')
      },
      { ...patient, retry: steadyRetry },
    )
    const plan = subscription([route('a', [once]), route('b', [action(crowd.run, patient)])], { concurrency: 1 })
    const harness = new Harness(plan)
    harness.deliver(numbered(2))
    await harness.clock.settle()
    await harness.clock.advance(100_000)
    expect(crowd.atWork).toEqual([0])
    crowd.take(0).resolve(null)
    await harness.clock.settle()
    expect(harness.position()).toBe(1)
    expect(crowd.atWork).toEqual([1])
  })

  it('a message that waits for minutes holds up its key alone: its partition is fetched and worked on, and nothing leaves the group', async () => {
    const done: unknown[] = []
    const fails = action(
      ({ data, key }, { number }) => {
        if (data === 'waits' && number < 3) throw new Error('not yet')
        done.push(key)
      },
      { ...patient, retry: { ...steadyRetry, backoff: 'fixed', delayMs: 600_000, maxDelayMs: 600_000 } },
    )
    const harness = new Harness(subscription([route('r', [fails])], { concurrency: 1, window: { messages: 5_000, bytes: 1e9 } }))
    harness.send('e', 'below', 'below')
    harness.send('e', 'waits', 'slow')
    harness.send('e', 'behind', 'slow')
    for (let second = 0; second < 1_199; second++) {
      harness.send('e', second, `k${second}`)
      await harness.clock.advance(1_000)
    }
    expect(done).toHaveLength(1_200)
    expect(done).not.toContain('slow')
    // Neither paused nor given back; what lies below it is committed, and now and then what is done above it.
    expect(harness.flow).toEqual([])
    expect([...harness.processor.assignments].map(({ state }) => state)).toEqual(['active'])
    expect(new Set(harness.commits.flat().map(({ offset }) => offset))).toEqual(new Set([1]))
    expect(harness.commits.length).toBeLessThan(300)
    expect(readDoneAhead(harness.commits.flat().at(-1)?.metadata, 1)?.bounds.at(-1)).toBeGreaterThan(1_150)
    await harness.clock.advance(2_000)
    expect(done.slice(1_200)).toEqual(['slow', 'slow'])
    expect(harness.committed()).toBe(1_202)
  })

  it('whatever fails, however it waits: never more than `concurrency` messages are in calls, and everything ends', async () => {
    const scenario = fc.record({
      concurrency: fc.integer({ min: 1, max: 4 }),
      guarded: fc.boolean(),
      breaker: fc.boolean(),
      routes: fc.integer({ min: 1, max: 2 }),
      keys: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 25 }),
      /** Of each call in turn: whether it fails. */
      fails: fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
      /** At each step: whether the store is away, and the dead-letter topic. */
      away: fc.array(fc.boolean(), { maxLength: 30 }),
      lost: fc.array(fc.boolean(), { maxLength: 30 }),
      picks: fc.array(fc.nat(), { minLength: 1, maxLength: 20 }),
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ concurrency, guarded, breaker, routes, keys, fails, away, lost, picks }) => {
        const crowd = new Crowd()
        const policies = {
          timeoutMs: 1e9,
          retry: { ...steadyRetry, attempts: 3 },
          ...(breaker ? { breaker: { failures: 2, resetMs: 1_000 } } : {}),
        }
        const named = ['a', 'b'].slice(0, routes)
        const byData: IdempotencyPlan = { ...byKey, key: ({ data }) => String(data) }
        const plan = subscription(
          named.map(name => route(name, [action(crowd.run, policies)], guarded ? { idempotency: byData } : {})),
          { concurrency },
        )
        const made: { keys?: KeysInMemory } = {}
        const state = { step: 0 }
        const harness = new Harness(plan, {
          idempotency: clock => {
            made.keys = new KeysInMemory(clock, 'async')
            return made.keys
          },
          writeDeadLetter: async () => {
            if (lost[state.step] === true) throw new Error('no leader')
          },
        })
        harness.deliver(keys.map((key, index) => ({ key: `k${key}`, value: envelope('e', index) })))
        await harness.clock.settle()
        for (let step = 0; ; step++) {
          state.step = step
          if (made.keys !== undefined) made.keys.mode = away[step] === true ? 'down' : 'async'
          const call = crowd.calls[(picks[step % picks.length] ?? 0) % Math.max(1, crowd.calls.length)]
          if (call === undefined) {
            if (harness.clock.waits.length === 0) break
            await harness.clock.advance(harness.clock.waits[0] ?? 0)
            continue
          }
          // After so many the dependency works again: what waits for a breaker ends.
          if (step < fails.length && fails[step] === true) crowd.take(call.data).reject(new Error('no'))
          else crowd.take(call.data).resolve(null)
          await harness.clock.settle()
        }
        expect(crowd.most).toBeLessThanOrEqual(concurrency)
        expect(harness.processor.counters.settled).toBe(keys.length)
        expect(harness.position()).toBe(keys.length)
        expect(harness.processor.held.messages).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})
