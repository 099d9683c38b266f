import { describe, expect, test } from 'vitest'
import type { BatchMember, BatchOutcome } from '../../src/compiler/plan.ts'
import { Harness, type HarnessOptions, type Held, held } from './harness.ts'
import { action, batchAction, envelope, route, stopOnFailure, subscription } from './plan-builders.ts'

const retry = { attempts: 3, backoff: 'fixed', delayMs: 1_000, maxDelayMs: 1_000, jitter: 'none', mode: 'in-order' } as const
const fine: BatchOutcome = { value: null }

interface Call {
  readonly at: number
  readonly data: readonly unknown[]
  readonly attempts: readonly number[]
  readonly signal: AbortSignal
}

type Options = HarnessOptions & Parameters<typeof batchAction>[1] & { readonly concurrency?: number }

/** One route with one batch action; `answer` says what becomes of a call. By default all is fine. */
function gathering(answer: (members: readonly BatchMember[]) => unknown = () => undefined, options: Options = {}) {
  const calls: Call[] = []
  const one = batchAction(
    async (members, signal) => {
      const data = members.map(({ scope }) => scope.data)
      calls.push({ at: harness.clock.monotonic(), data, attempts: members.map(({ attempt }) => attempt.number), signal })
      const outcomes = await answer(members)
      return Array.isArray(outcomes) ? outcomes : members.map(() => fine)
    },
    { retry, ...options },
  )
  const plan = subscription([route('r', [one], { events: ['e'] })], { concurrency: options.concurrency ?? 64 })
  const harness: Harness = new Harness(plan, options)
  /** `a1` is a message of the key `a`; `-1` has none. */
  const send = (...names: string[]) =>
    harness.deliver(names.map(name => ({ key: name.startsWith('-') ? null : (name[0] ?? ''), value: envelope('e', name, name) })))
  return { harness, calls, send, plan, data: () => calls.map(call => call.data) }
}

/** Fails the named messages as often as it says. */
function failing(times: Record<string, number>, error: () => Error = () => new Error('not yet')) {
  const left = new Map(Object.entries(times))
  return (members: readonly BatchMember[]) =>
    members.map(({ scope }): BatchOutcome => {
      const name = String(scope.data)
      const more = left.get(name) ?? 0
      left.set(name, more - 1)
      return more > 0 ? { error: error() } : fine
    })
}

const permanent = () => Object.assign(new Error('never'), { name: 'PermanentError' })

describe('a batch', () => {
  test('holds messages of several keys, and consecutive ones of the same key in their order', async () => {
    const { harness, send, data } = gathering()
    send('a1', 'a2', 'b1', 'a3', 'c1')
    await harness.clock.runOut()
    expect(data()).toEqual([['a1', 'a2', 'b1', 'a3', 'c1']])
    expect(harness.committed()).toBe(5)
    expect(harness.processor.counters).toMatchObject({ batchCalls: 1, batchMessages: 5 })
  })

  test('holds messages without a key, which share one lane a partition', async () => {
    const { harness, send, data } = gathering()
    send('-1', '-2', '-3')
    await harness.clock.runOut()
    expect(data()).toEqual([['-1', '-2', '-3']])
  })

  test('is called when it is full, or when its first message has waited', async () => {
    const { harness, send, calls } = gathering(undefined, { size: 3, waitMs: 50 })
    send('a1', 'a2', 'a3', 'b1')
    expect(calls.map(({ at, data }) => ({ at, data }))).toEqual([{ at: 0, data: ['a1', 'a2', 'a3'] }])
    await harness.clock.advance(30)
    send('b2', 'c1')
    await harness.clock.advance(30)
    send('d1')
    await harness.clock.runOut()
    expect(calls.map(({ at, data }) => ({ at, data })).slice(1)).toEqual([
      { at: 30, data: ['b1', 'b2', 'c1'] },
      { at: 110, data: ['d1'] },
    ])
  })

  test('of one key is through before the next batch of that key is called', async () => {
    const ends: Held[] = []
    const { harness, send, data } = gathering(
      () => {
        const end = held()
        ends.push(end)
        return end.promise
      },
      { size: 2 },
    )
    send('a1', 'a2', 'a3', 'b1', 'b2')
    await harness.clock.advance(1_000)
    expect(data()).toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ])
    ends[0]?.resolve(undefined)
    await harness.clock.advance(1_000)
    expect(data()[2]).toEqual(['a3'])
  })

  test('takes no more lanes at once than `concurrency`, and as many messages of each as fit', async () => {
    const { harness, send, data } = gathering(undefined, { concurrency: 2 })
    send('a1', 'b1', 'c1', 'a2', 'b2', 'c2')
    await harness.clock.runOut()
    expect(data()).toEqual([
      ['a1', 'b1', 'a2', 'b2'],
      ['c1', 'c2'],
    ])
  })

  test('leaves messages waiting that do something else: another event, two routes', async () => {
    const seen: unknown[] = []
    const note = action(({ data }) => void seen.push(data))
    const batch = batchAction(async members => members.map(({ scope }) => ({ value: void seen.push(scope.data) })))
    const routes = [route('many', [batch], { events: ['e', 'both'] }), route('one', [note], { events: ['other', 'both'] })]
    const harness = new Harness(subscription(routes))
    for (const [index, event] of ['e', 'e', 'nobody', 'e', 'other', 'e', 'both', 'e'].entries()) harness.send(event, index, 'k')
    await harness.clock.advance(10)
    expect(seen).toEqual([])
    await harness.clock.runOut()
    // Those of one key that go into the batch, before and after each that does not.
    expect(seen).toEqual([0, 1, 3, 4, 5, 6, 6, 7])
    expect(harness.committed()).toBe(8)
    expect(harness.processor.counters.unmatched).toBe(1)
  })
})

describe('a message that fails in a batch', () => {
  test('is tried again with the later ones of its key, in order; other keys go on', async () => {
    const { harness, send, calls } = gathering(failing({ a2: 1 }))
    send('a1', 'a2', 'b1', 'a3', 'b2')
    await harness.clock.advance(500)
    expect(harness.position()).toBe(1)
    expect(harness.processor.counters.route('shop/r').done).toBe(3)
    await harness.clock.runOut()
    expect(calls.map(({ data, attempts }) => ({ data, attempts }))).toEqual([
      { data: ['a1', 'a2', 'b1', 'a3', 'b2'], attempts: [1, 1, 1, 1, 1] },
      // The one that went along has used up no attempt.
      { data: ['a2', 'a3'], attempts: [2, 1] },
    ])
    expect(harness.letters).toEqual([])
    expect(harness.committed()).toBe(5)
  })

  test('for good does not make the later ones of its key run again', async () => {
    const { harness, send, data } = gathering(failing({ a1: 1 }, permanent))
    send('a1', 'a2', 'a3')
    await harness.clock.runOut()
    expect(data()).toEqual([['a1', 'a2', 'a3']])
    expect(harness.letters).toHaveLength(1)
    expect(harness.committed()).toBe(3)
  })

  test('in every attempt does not take the others of its key along into the dead letters', async () => {
    const { harness, send, calls } = gathering(failing({ a1: 99 }))
    send('a1', 'a2')
    await harness.clock.runOut()
    expect(calls.map(({ attempts }) => attempts)).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ])
    expect(harness.letters.map(({ value }) => value?.toString())).toEqual([envelope('e', 'a1', 'a1')])
  })

  test('under `onFailure: stop` holds back the later ones of its key', async () => {
    const { harness, send } = gathering(failing({ a2: 1 }, permanent), { deadLetter: stopOnFailure })
    send('a1', 'a2', 'a3', 'b1')
    await harness.clock.runOut()
    expect(harness.committed()).toBe(1)
    expect(harness.processor.counters.route('shop/r').done).toBe(2)
  })

  test('when the whole call fails, the first of each key uses up an attempt', async () => {
    let failures = 1
    const { harness, send, calls } = gathering(() => {
      if (failures-- > 0) throw new Error('down')
    })
    send('a1', 'a2', 'b1')
    await harness.clock.runOut()
    expect(calls.map(({ data, attempts }) => ({ data, attempts }))).toEqual([
      { data: ['a1', 'a2', 'b1'], attempts: [1, 1, 1] },
      { data: ['a1', 'a2', 'b1'], attempts: [2, 1, 2] },
    ])
  })

  test('because the call takes too long: the time counts from the call, its signal says so, a late end is ignored', async () => {
    const end = held()
    let isFirst = true
    const { harness, send, calls } = gathering(
      () => {
        if (!isFirst) return undefined
        isFirst = false
        return end.promise
      },
      { waitMs: 400, timeoutMs: 500 },
    )
    send('a1', 'a2')
    await harness.clock.advance(899)
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([false])
    await harness.clock.advance(1)
    expect(calls[0]?.signal.reason).toMatchObject({ name: 'AttemptTimeout', message: 'no result within 500 ms' })
    end.resolve(undefined)
    await harness.clock.advance(100)
    expect(harness.position()).toBe(0)
    await harness.clock.runOut()
    expect(calls.map(({ data }) => data)).toEqual([
      ['a1', 'a2'],
      ['a1', 'a2'],
    ])
    expect(harness.committed()).toBe(2)
  })
})

describe('what comes after a batch', () => {
  test('comes one message after the other, and a later action that is retried does not call the batch again', async () => {
    const after: unknown[] = []
    let failures = 1
    const batch = batchAction(async members => members.map(({ scope }) => ({ value: `result of ${scope.data}` })), { as: 'it' })
    const last = action(
      ({ data, results: { it } }) => {
        if (data === 'a1' && failures-- > 0) throw new Error('not yet')
        after.push([data, it])
      },
      { retry },
    )
    const harness = new Harness(subscription([route('r', [batch, last])]))
    for (const name of ['a1', 'a2', 'b1']) harness.send('e', name, name[0])
    await harness.clock.advance(100)
    expect(after).toEqual([['b1', 'result of b1']])
    await harness.clock.runOut()
    expect(after.slice(1)).toEqual([
      ['a1', 'result of a1'],
      ['a2', 'result of a2'],
    ])
  })

  test('two batches in one route: messages of a key share the first', async () => {
    const calls: unknown[] = []
    const batch = (name: string) =>
      batchAction(async members => {
        calls.push([name, members.map(({ scope }) => scope.data)])
        return members.map(() => fine)
      })
    const harness = new Harness(subscription([route('r', [batch('first'), batch('second')])]))
    for (const name of ['a1', 'a2', 'b1']) harness.send('e', name, name[0])
    await harness.clock.runOut()
    expect(calls).toEqual([
      ['first', ['a1', 'a2', 'b1']],
      ['second', ['a1', 'b1']],
      ['second', ['a2']],
    ])
    expect(harness.committed()).toBe(3)
  })
})

describe('a batch when things end', () => {
  test('a stop calls a half-full batch at once and commits what is done', async () => {
    const { harness, send, data } = gathering(undefined, { waitMs: 60_000 })
    send('a1', 'a2', 'b1')
    await harness.clock.settle()
    expect(data()).toEqual([])
    const [result] = await Promise.all([harness.processor.drain(5_000), harness.clock.advance(100)])
    expect(result).toEqual({ finished: true, released: 0, repeated: 0 })
    expect(data()).toEqual([['a1', 'a2', 'b1']])
    expect(harness.committed()).toBe(3)
  })

  test('a stop does not start what waits for a batch of its key', async () => {
    const seen: unknown[] = []
    const batch = batchAction(async members => members.map(({ scope }) => ({ value: void seen.push(scope.data) })))
    const single = action(({ data }) => void seen.push(data))
    const harness = new Harness(subscription([route('many', [batch], { events: ['e'] }), route('one', [single], { events: ['other'] })]))
    harness.send('e', 'a1', 'a')
    harness.send('other', 'a2', 'a')
    await Promise.all([harness.processor.drain(5_000), harness.clock.advance(100)])
    expect(seen).toEqual(['a1'])
    expect(harness.committed()).toBe(1)
  })

  test('a stop releases those that wait for a retry, with the later ones of their key', async () => {
    const { harness, send, data } = gathering(failing({ a1: 1 }))
    send('a1', 'a2', 'b1')
    await harness.clock.advance(100)
    const [result] = await Promise.all([harness.processor.drain(5_000), harness.clock.advance(100)])
    expect(result).toEqual({ finished: true, released: 2, repeated: 0 })
    expect(data()).toHaveLength(1)
    expect(harness.committed()).toBe(0)
  })

  test('a partition that leaves while the call runs: the call goes on for the others, and nothing of it is committed', async () => {
    const end = held()
    const { harness, send, calls } = gathering(() => end.promise, { partitions: [0, 1], rebalanceMs: 50 })
    send('a1', 'a2')
    harness.deliver([{ key: 'x', value: envelope('e', 'x1') }], 1)
    await harness.clock.advance(20)
    await Promise.all([harness.processor.revoked([{ topic: 'orders', partition: 0 }], false), harness.clock.advance(60)])
    expect(calls[0]?.signal.aborted).toBe(false)
    end.resolve(undefined)
    await harness.clock.runOut()
    expect(harness.committed(0)).toBe(0)
    expect(harness.committed(1)).toBe(1)
    expect(calls).toHaveLength(1)
  })

  test('the signal of a call fires when nobody waits for it any more', async () => {
    const { harness, send, calls } = gathering(() => new Promise(() => {}))
    send('a1', 'b1')
    await harness.clock.advance(20)
    await Promise.all([harness.processor.drain(10), harness.clock.advance(20)])
    expect(calls[0]?.signal.reason).toMatchObject({ name: 'AttemptReleased' })
  })

  test('a partition that is lost takes its messages out of a batch that was not called yet', async () => {
    const { harness, send, data } = gathering(undefined, { partitions: [0, 1] })
    send('a1', 'a2')
    harness.deliver([{ key: 'x', value: envelope('e', 'x1') }], 1)
    await harness.processor.revoked([{ topic: 'orders', partition: 0 }], true)
    await harness.clock.runOut()
    expect(data()).toEqual([['x1']])
  })

  test('each message sees one version of the plan, and a key keeps its order over a reload', async () => {
    const seen: unknown[] = []
    const version = (name: string) =>
      subscription([
        route('r', [
          batchAction(async members => {
            seen.push([name, members.map(({ scope }) => scope.data)])
            return members.map(() => fine)
          }),
        ]),
      ])
    const harness = new Harness(version('old'))
    harness.send('e', 'a1', 'a')
    harness.processor.swap(version('new'))
    for (const name of ['a2', 'b1', 'a3']) harness.send('e', name, name[0])
    await harness.clock.advance(19)
    expect(seen).toEqual([])
    await harness.clock.runOut()
    expect(seen).toEqual([
      ['old', ['a1']],
      ['new', ['b1', 'a2', 'a3']],
    ])
  })
})
