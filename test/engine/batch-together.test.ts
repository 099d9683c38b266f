import { describe, expect, test } from 'vitest'
import type { BatchOutcome, IdempotencyPlan } from '../../src/compiler/plan.ts'
import type { DeadLetterRecord } from '../../src/engine/ports.ts'
import { Harness, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, batchAction, envelope, type Run, record, route, subscription } from './plan-builders.ts'

const retry = { attempts: 3, backoff: 'fixed', delayMs: 1_000, maxDelayMs: 1_000, jitter: 'none', mode: 'in-order' } as const
const breaker = { failures: 3, resetMs: 1_000 }
const byData: IdempotencyPlan = { text: '{{data}}', key: ({ data }) => String(data), ttlMs: 3_600_000, check: false }
const replayTopic = 'app.shop.signalbox-replay'

/** A batch handler on what may be down, under idempotency keys; `dependency.fails` are the messages that it fails. */
function batched(
  options: {
    readonly mode?: KeysInMemory['mode']
    readonly hasBreaker?: boolean
    readonly ends?: Promise<unknown>
    readonly waitMs?: number
  } = {},
) {
  const made: { keys?: KeysInMemory } = {}
  const dependency = { isDown: false, fails: new Set<unknown>() }
  const calls: unknown[][] = []
  const batch = batchAction(
    async members => {
      calls.push(members.map(({ scope }) => scope.data))
      if (dependency.isDown) throw new Error('down')
      await (calls.length === 1 ? options.ends : undefined)
      return members.map(
        ({ scope }): BatchOutcome => (dependency.fails.has(scope.data) ? { error: new Error('not this one') } : { value: null }),
      )
    },
    { retry, size: 100, waitMs: options.waitMs ?? 20, timeoutMs: 1e9, ...(options.hasBreaker === true ? { breaker } : {}) },
  )
  const harness = new Harness(subscription([route('r', [batch], { idempotency: byData })]), {
    idempotency: clock => {
      made.keys = new KeysInMemory(clock, options.mode ?? 'async')
      return made.keys
    },
  })
  const { keys } = made
  if (keys === undefined) throw new Error('the harness takes no keys')
  const send = (...names: string[]) => harness.deliver(names.map(name => ({ key: name[0] ?? '', value: envelope('e', name) })))
  return { harness, keys, dependency, calls, send, counters: () => harness.processor.counters.route('shop/r') }
}

/** Sends a dead letter back as `router dlq replay` does. */
function replay(harness: Harness, letters: readonly DeadLetterRecord[]): void {
  harness.processor.assigned([{ topic: replayTopic, partition: 0 }])
  const back = letters.map(({ key, value, headers }, offset) => ({ ...record({ topic: replayTopic, offset }), key, value, headers }))
  harness.processor.records(replayTopic, 0, back, back.length, back.length)
}

describe.each(['sync', 'async'] as const)('a batch under idempotency keys, with a store that answers %s', mode => {
  test('holds consecutive messages of a key, each under a claim of its own; a key that comes twice runs once', async () => {
    const { harness, keys, calls, send, counters } = batched({ mode })
    send('a1', 'a2', 'b1', 'a1', 'a3')
    // The claims were asked for together, before any was answered.
    if (mode === 'async') expect(keys.asked).toEqual(['claim', 'claim', 'claim', 'claim', 'claim'])
    await harness.clock.runOut()
    expect(calls.flat().toSorted()).toEqual(['a1', 'a2', 'a3', 'b1'])
    expect(calls[0]).toEqual(['a1', 'a2', 'b1'])
    expect(counters()).toMatchObject({ done: 4, duplicate: 1 })
    expect(harness.committed()).toBe(5)
  })

  test('completes what the handler has done, and keeps the claim of what is tried again', async () => {
    const { harness, keys, dependency, send, counters } = batched({ mode })
    dependency.fails.add('a2')
    send('a1', 'a2', 'a3', 'b1')
    await harness.clock.advance(500)
    const stateOf = (key: string) => keys.claimElsewhere({ key: `app.shop/r/=${key}`, owner: 'somebody', leaseMs: 1 })
    expect(['a1', 'a2', 'a3', 'b1'].map(stateOf)).toEqual([{ check: '' }, 'busy', 'busy', { check: '' }])
    dependency.fails.clear()
    await harness.clock.runOut()
    expect(counters()).toMatchObject({ done: 4 })
    expect(harness.committed()).toBe(4)
  })

  test('releases the claims of what waits when the router stops', async () => {
    const { harness, keys, dependency, send } = batched({ mode })
    dependency.fails.add('a1')
    send('a1', 'a2')
    await harness.clock.advance(500)
    await Promise.all([harness.processor.drain(5_000), harness.clock.advance(100)])
    for (const key of ['a1', 'a2'])
      expect(keys.claimElsewhere({ key: `app.shop/r/=${key}`, owner: 'somebody', leaseMs: 1 })).toBe('claimed')
  })

  test('a lease that is lost in the call makes the later ones of the key run again after it', async () => {
    const end = held()
    const { harness, keys, calls, send, counters } = batched({ mode, ends: end.promise })
    send('a1', 'a2', 'b1')
    await harness.clock.advance(100)
    expect(calls).toHaveLength(1)
    keys.releaseElsewhere({ key: 'app.shop/r/=a1', owner: 'me-1' })
    keys.claimElsewhere({ key: 'app.shop/r/=a1', owner: 'somebody', leaseMs: 20_000 })
    await harness.clock.advance(15_000)
    end.resolve(undefined)
    await harness.clock.advance(1_000)
    expect(counters()).toMatchObject({ done: 1 })
    expect(calls).toHaveLength(1)
    await harness.clock.runOut()
    expect(calls.slice(1)).toEqual([['a1', 'a2']])
    expect(counters()).toMatchObject({ done: 3 })
    expect(harness.processor.counters.leasesLost).toBe(1)
  })

  test('a lease that is lost before the call takes the later ones of the key out of the batch', async () => {
    const { harness, keys, calls, send } = batched({ mode, waitMs: 25_000 })
    send('a1', 'a2', 'b1')
    await harness.clock.advance(1_000)
    keys.releaseElsewhere({ key: 'app.shop/r/=a1', owner: 'me-1' })
    keys.claimElsewhere({ key: 'app.shop/r/=a1', owner: 'somebody', leaseMs: 30_000 })
    await harness.clock.advance(25_000)
    expect(calls).toEqual([['b1']])
    await harness.clock.runOut()
    expect(calls.slice(1)).toEqual([['a1', 'a2']])
    expect(harness.committed()).toBe(3)
  })
})

describe('a breaker around a batch under idempotency keys', () => {
  test('keeps the attempts and the claims of all while the dependency is down, and tries with one batch at a time', async () => {
    const { harness, dependency, calls, send, counters } = batched({ hasBreaker: true })
    dependency.isDown = true
    send('a1', 'a2', 'b1', 'c1', 'd1')
    await harness.clock.advance(60_000)
    expect(harness.letters).toEqual([])
    expect(harness.processor.counters).toMatchObject({ breakersOpen: 1, leasesLost: 0 })
    expect(calls.length).toBeLessThanOrEqual(62)
    dependency.isDown = false
    await harness.clock.runOut()
    expect(harness.letters).toEqual([])
    expect(counters()).toMatchObject({ done: 5, duplicate: 0 })
    const last = calls.flat()
    expect(last.lastIndexOf('a1')).toBeLessThan(last.lastIndexOf('a2'))
    expect(harness.committed()).toBe(5)
  })

  test('does not open for messages that fail while others of their call succeed', async () => {
    const { harness, dependency, send } = batched({ hasBreaker: true })
    for (const name of ['a1', 'b1', 'c1', 'd1']) dependency.fails.add(name)
    send('a1', 'b1', 'c1', 'd1', 'e1')
    await harness.clock.advance(100)
    expect(harness.processor.counters).toMatchObject({ breakerOpened: 0 })
  })
})

describe('a replayed message', () => {
  test('of a batch runs under its key: not again where it was completed meanwhile', async () => {
    const { harness, dependency, send, counters, calls } = batched()
    dependency.fails.add('a1')
    send('a1', 'a2')
    await harness.clock.runOut()
    expect(counters()).toMatchObject({ deadLettered: 1, done: 1 })
    dependency.fails.clear()
    const before = calls.length
    replay(harness, harness.letters)
    await harness.clock.runOut()
    expect(calls.slice(before)).toEqual([['a1']])
    expect(counters()).toMatchObject({ deadLettered: 1, done: 2 })
    replay(harness, harness.letters)
    await harness.clock.runOut()
    expect(counters()).toMatchObject({ done: 2, duplicate: 1 })
    expect(calls).toHaveLength(before + 1)
  })

  test('shares a batch with other messages, and waits while the breaker is open', async () => {
    const { harness, dependency, send, calls, counters } = batched({ hasBreaker: true })
    dependency.fails.add('x1').add('x2')
    send('x1', 'x2', 'ok')
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(2)
    dependency.fails.clear()
    dependency.isDown = true
    send('b1', 'c1', 'd1')
    await harness.clock.advance(100)
    expect(harness.processor.counters).toMatchObject({ breakersOpen: 1 })
    const before = calls.length
    replay(harness, harness.letters)
    await harness.clock.advance(100)
    expect(calls).toHaveLength(before)
    dependency.isDown = false
    await harness.clock.runOut()
    expect(counters()).toMatchObject({ deadLettered: 2, done: 6 })
    expect(calls.slice(before).flat().toSorted()).toEqual(['b1', 'c1', 'd1', 'x1', 'x2'])
  })

  test('from the failed action on, under a breaker and a key: it completes the key that the failure had released', async () => {
    let isDown = true
    const first: unknown[] = []
    const calls: number[] = []
    const run: Run = (_, attempt) => {
      calls.push(attempt.number)
      if (isDown) throw new Error('down')
    }
    const actions = [action(({ data }) => void first.push(data)), action(run, { retry, breaker })]
    const harness = new Harness(subscription([route('r', actions, { idempotency: byData })]), {
      idempotency: clock => new KeysInMemory(clock, 'async'),
    })
    const counters = harness.processor.counters.route('shop/r')
    harness.send('e', 'm', 'k')
    await harness.clock.runOut()
    // Only one key has failed: its attempts are used up although the breaker has opened.
    expect(calls).toEqual([1, 2, 3])
    expect(counters).toMatchObject({ deadLettered: 1 })
    isDown = false
    replay(harness, harness.letters)
    await harness.clock.runOut()
    expect(first).toEqual(['m'])
    expect(counters).toMatchObject({ done: 1 })
    harness.send('e', 'm', 'k')
    await harness.clock.runOut()
    expect(counters).toMatchObject({ done: 1, duplicate: 1 })
  })
})
