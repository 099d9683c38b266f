import { describe, expect, it } from 'vitest'
import type { IdempotencyPlan, RoutePlan } from '../../src/compiler/plan.ts'
import { Harness, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, batchAction, type Run, route, steadyRetry, subscription } from './plan-builders.ts'

const hours = { retry: { ...steadyRetry, attempts: 50, backoff: 'fixed', delayMs: 3_600_000, maxDelayMs: 3_600_000 } } as const
const byKey: IdempotencyPlan = { text: '{{key}}', key: ({ key }) => String(key), ttlMs: 3_600_000, check: false }

/** What was run: the version, and the data that it saw. */
const ran: [version: string, data: unknown][] = []

/** Fails for data of `bad` where `fails`. */
function version(name: string, fails: boolean, changes: Partial<RoutePlan> = {}) {
  const run: Run = ({ data }) => {
    ran.push([name, data])
    if (fails && data === 'bad') throw new Error('broken')
  }
  return subscription([route('r', [action(run, hours)], changes)])
}

function begin(changes: Partial<RoutePlan> = {}, startsOver = true): Harness {
  ran.length = 0
  return new Harness(version('old', true, changes), { startsOver, idempotency: clock => new KeysInMemory(clock) })
}

describe('where somebody edits, what waits for its next try starts again on what was saved', () => {
  it('at once, and before what came after it in its key', async () => {
    const harness = begin()
    for (const data of ['bad', 'second', 'third']) harness.send('e', data, 'a')
    harness.send('e', 'other', 'b')
    await harness.clock.advance(1_000)
    expect(ran).toEqual([
      ['old', 'bad'],
      ['old', 'other'],
    ])
    void harness.processor.swap(version('new', false))
    await harness.clock.advance(1_000)
    expect(ran.slice(2)).toEqual([
      ['new', 'bad'],
      ['new', 'second'],
      ['new', 'third'],
    ])
    expect(harness.logged('info')).toContain('messages that waited for their next try start again, on what was saved')
    expect([harness.committed(), harness.processor.held.messages, harness.processor.isIdle]).toEqual([4, 0, true])
    expect(harness.processor.counters).toMatchObject({ received: 4, settled: 4, released: 0 })
  })

  it('with all its tries, as often as something is saved', async () => {
    const harness = begin()
    harness.send('e', 'bad', 'a')
    for (const name of ['one', 'two']) {
      await harness.clock.advance(1_000)
      void harness.processor.swap(version(name, true))
    }
    await harness.clock.advance(3_600_000 * 49)
    expect(ran.length).toBe(1 + 1 + 50)
    expect(harness.letters).toMatchObject([{ headers: { 'signalbox-attempts': Buffer.from('50') } }])
  })

  it('also where it was at work when that was saved, and failed after it', async () => {
    const failing = held()
    const harness = begin()
    const slow = action(() => failing.promise, { ...hours, timeoutMs: 1e9 })
    void harness.processor.swap(subscription([route('r', [slow])]))
    harness.send('e', 'bad', 'a')
    await harness.clock.settle()
    const earlierEnded = harness.processor.swap(version('new', false))
    await harness.clock.advance(1_000)
    expect(ran).toEqual([])
    failing.reject(new Error('broken'))
    await harness.clock.advance(1_000)
    expect(ran).toEqual([['new', 'bad']])
    expect(harness.logged('info')).toEqual(['failed, starting again on what was saved: broken'])
    await earlierEnded
    expect(harness.committed()).toBe(1)
  })

  it('also where it waits for an open breaker, which then tries it on the new plan', async () => {
    ran.length = 0
    const breaker = { failures: 3, resetMs: 10_000 }
    const plan = (name: string, fails: boolean) => {
      const run: Run = ({ data }) => {
        ran.push([name, data])
        if (fails) throw new Error('away')
      }
      return subscription([route('r', [action(run, { ...hours, breaker })])])
    }
    const harness = new Harness(plan('old', true), { startsOver: true })
    for (const data of ['a', 'b', 'c', 'd']) harness.send('e', data, data)
    await harness.clock.advance(1_000)
    expect(ran.map(([, data]) => data)).toEqual(['a', 'b', 'c'])
    void harness.processor.swap(plan('new', false))
    await harness.clock.advance(15_000)
    expect(ran.slice(3).map(([name]) => name)).toEqual(['new', 'new', 'new', 'new'])
    expect([harness.committed(), harness.processor.isIdle]).toEqual([4, true])
  })

  it('under a claim of its own', async () => {
    const harness = begin({ idempotency: byKey })
    harness.send('e', 'bad', 'a')
    await harness.clock.advance(1_000)
    void harness.processor.swap(version('new', false, { idempotency: byKey }))
    harness.send('e', 'bad', 'a')
    await harness.clock.advance(1_000)
    expect(ran).toEqual([
      ['old', 'bad'],
      ['new', 'bad'],
    ])
    expect(harness.processor.counters.route('shop/r')).toMatchObject({ done: 1, duplicate: 1 })
  })

  it('with all its routes, once each has ended', async () => {
    const other = held()
    const harness = begin()
    const failing = route('failing', [action(() => Promise.reject(new Error('broken')), hours)])
    void harness.processor.swap(subscription([failing, route('slow', [action(() => other.promise)])]))
    harness.send('e', 'bad', 'a')
    await harness.clock.settle()
    void harness.processor.swap(version('new', false))
    await harness.clock.advance(1_000)
    expect(ran).toEqual([])
    other.resolve(null)
    await harness.clock.advance(1_000)
    expect(ran).toEqual([['new', 'bad']])
    expect(harness.committed()).toBe(1)
  })

  it('with all its routes, also where another one has its dead letter on the way', async () => {
    const letter = held<void>()
    let isHeld = false
    ran.length = 0
    const refuses = route('refuses', [action(() => Promise.reject(Object.assign(new Error('never'), { name: 'PermanentError' })))])
    const failing = route('failing', [action(({ data }) => (data === 'bad' ? Promise.reject(new Error('broken')) : undefined), hours)])
    const harness = new Harness(subscription([refuses, failing]), {
      startsOver: true,
      writeDeadLetter: () => (isHeld ? letter.promise : Promise.resolve()),
    })
    harness.send('e', 'first', 'a')
    await harness.clock.advance(1_000)
    isHeld = true
    harness.send('e', 'bad', 'a')
    harness.send('e', 'behind it', 'a')
    await harness.clock.advance(1_000)
    void harness.processor.swap(version('new', false))
    await harness.clock.advance(1_000)
    expect(ran).toEqual([
      ['new', 'bad'],
      ['new', 'behind it'],
    ])
    letter.resolve()
    await harness.clock.advance(1_000)
    expect([harness.committed(), harness.processor.counters.released, harness.processor.isIdle]).toEqual([3, 0, true])
  })

  it('messages of a key that share a call, in their order', async () => {
    const made: unknown[] = []
    const batch = (name: string, fails: boolean) =>
      subscription([
        route('r', [
          batchAction(async members => {
            if (name === 'new') made.push(...members.map(({ scope }) => scope.data))
            return members.map(({ scope: { data } }) => (fails && data === 'bad' ? { error: new Error('broken') } : { value: null }))
          }, hours),
        ]),
      ])
    const harness = new Harness(batch('old', true), { startsOver: true })
    for (const data of ['first', 'bad', 'third', 'fourth']) harness.send('e', data, 'a')
    await harness.clock.advance(1_000)
    void harness.processor.swap(batch('new', false))
    await harness.clock.advance(10_000)
    expect(made).toEqual(['bad', 'third', 'fourth'])
    expect([harness.committed(), harness.processor.isIdle]).toEqual([4, true])
  })

  it('but not where the partition is leaving: there it is released', async () => {
    const harness = begin()
    harness.send('e', 'bad', 'a')
    await harness.clock.advance(1_000)
    const drained = harness.processor.drain(1_000)
    void harness.processor.swap(version('new', false))
    await harness.clock.advance(5_000)
    expect(await drained).toMatchObject({ released: 1 })
    expect(ran).toEqual([['old', 'bad']])
  })
})

it('elsewhere it keeps its plan, and its wait', async () => {
  const harness = begin({}, false)
  harness.send('e', 'bad', 'a')
  await harness.clock.advance(1_000)
  void harness.processor.swap(version('new', false))
  await harness.clock.advance(3_600_000)
  expect(ran).toEqual([
    ['old', 'bad'],
    ['old', 'bad'],
  ])
})
