import { describe, expect, it } from 'vitest'
import { ActionSignal, type IdempotencyPlan } from '../../src/compiler/plan.ts'
import { TemplateError } from '../../src/compiler/scope.ts'
import { Harness, type HarnessOptions, type Held, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, envelope, noting, type Run, route, steadyRetry, subscription } from './plan-builders.ts'

/** The key is `data.key`. */
const byKey: IdempotencyPlan = {
  text: '{{data.key}}',
  key: ({ data }) => {
    const key = typeof data === 'object' && data !== null && 'key' in data ? data.key : undefined
    if (typeof key !== 'string') throw new TemplateError('data.key is missing', '{{data.key}}')
    return key
  },
  ttlMs: 3_600_000,
  check: false,
}

const fullKey = (key: string) => `app.shop/r/=${key}`
const somebody = { owner: 'somebody', leaseMs: 30_000 }
const partition = { topic: 'orders', partition: 0 }

function once(
  runs: readonly Run[],
  options: HarnessOptions & { readonly mode?: KeysInMemory['mode']; readonly plan?: IdempotencyPlan } = {},
) {
  const { mode = 'sync', plan = byKey, ...rest } = options
  const made: { keys?: KeysInMemory } = {}
  const actions = runs.map(run => action(run, { timeoutMs: 1e9, retry: steadyRetry }))
  const harness = new Harness(subscription([route('r', actions, { idempotency: plan })]), {
    ...rest,
    idempotency: clock => {
      made.keys = new KeysInMemory(clock, mode)
      return made.keys
    },
  })
  const { keys } = made
  if (keys === undefined) throw new Error('the harness takes no keys')
  const counters = () => harness.processor.counters.route('shop/r')
  return { harness, keys, counters }
}

/** An action that waits until the test ends it; each of its attempts in order. */
function holding() {
  const attempts: { readonly end: Held; readonly signal: AbortSignal }[] = []
  const run: Run = (_, { signal }) => {
    const end = held()
    attempts.push({ end, signal })
    return end.promise
  }
  return { run, attempts }
}

describe.each(['sync', 'async'] as const)('with a store that answers %s', mode => {
  it('runs a key once: a second message with it is a duplicate, and settles', async () => {
    const notes: unknown[] = []
    const { harness, counters } = once([noting(notes, ({ offset }) => offset)], { mode })
    for (const key of ['a', 'b', 'a', 'a', 'b']) harness.send('e', { key })
    await harness.clock.settle()
    expect(notes).toEqual([0, 1])
    expect(counters()).toMatchObject({ done: 2, duplicate: 3 })
    expect(harness.position()).toBe(5)
  })

  it('lets one of two lanes work on a key, the other one waits and then is a duplicate', async () => {
    const { run, attempts } = holding()
    const { harness, counters } = once([run], { mode })
    harness.send('e', { key: 'a' }, 'lane-1')
    harness.send('e', { key: 'a' }, 'lane-2')
    await harness.clock.advance(5_000)
    expect(attempts).toHaveLength(1)
    expect(harness.processor.counters.idempotencyWaits).toBe(1)
    attempts[0]?.end.resolve(undefined)
    await harness.clock.advance(1_000)
    expect(counters()).toMatchObject({ done: 1, duplicate: 1 })
    expect(harness.position()).toBe(2)
  })

  it('releases the key of a message that was dead-lettered: it runs again when it comes again', async () => {
    let fails = true
    const { harness, counters } = once(
      [
        () => {
          if (fails) throw Object.assign(new Error('no'), { name: 'PermanentError' })
        },
      ],
      { mode },
    )
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    fails = false
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(counters()).toMatchObject({ deadLettered: 1, done: 1, duplicate: 0 })
  })

  it('completes the key of a message that was dropped or left out', async () => {
    const { harness, counters } = once([({ event }) => new ActionSignal(event === 'drop' ? 'drop' : 'skip', 'test')], { mode })
    for (const [event, key] of [
      ['drop', 'a'],
      ['skip', 'b'],
      ['skip', 'a'],
      ['drop', 'b'],
    ] as const)
      harness.send(event, { key })
    await harness.clock.settle()
    expect(counters()).toMatchObject({ dropped: 1, skipped: 1, duplicate: 2 })
  })

  it('holds the key through retries, for longer than its lease', async () => {
    let attempts = 0
    const failing: Run = async () => {
      attempts++
      if (attempts < 5) throw new Error('not yet')
    }
    const { harness, keys, counters } = once([failing], { mode })
    // 100 ms, 200 ms, ...: stretched so that the whole takes four leases.
    const slow = action(failing, { retry: { ...steadyRetry, delayMs: 30_000, backoff: 'fixed' } })
    harness.processor.swap(subscription([route('r', [slow], { idempotency: byKey })]))
    harness.send('e', { key: 'a' })
    for (let second = 0; second < 115; second += 5) {
      await harness.clock.advance(5_000)
      expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toBe('busy')
    }
    await harness.clock.advance(10_000)
    expect(counters()).toMatchObject({ done: 1 })
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toEqual({ check: '' })
    expect(harness.processor.counters.leasesLost).toBe(0)
  })

  it('dead-letters a message whose key cannot be made, without asking the store', async () => {
    const { harness, keys } = once([() => {}], { mode })
    harness.send('e', { other: 1 })
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(harness.letters[0]?.headers['kafka_dlt-exception-message']?.toString()).toBe('data.key is missing')
    expect(keys.asked).toEqual([])
    expect(harness.position()).toBe(1)
  })

  it('with `check`, other content under a completed key is dead-lettered; the same in another order of keys is a duplicate', async () => {
    const { harness, counters } = once([() => {}], { mode, plan: { ...byKey, check: true } })
    harness.send('e', { key: 'a', total: 1, deep: { x: 1, y: [1, 2] } })
    harness.send('e', { deep: { y: [1, 2], x: 1 }, total: 1, key: 'a' })
    harness.send('e', { key: 'a', total: 1, deep: { x: 1, y: [2, 1] } })
    harness.send('other', { key: 'a', total: 1, deep: { x: 1, y: [1, 2] } })
    await harness.clock.settle()
    expect(counters()).toMatchObject({ done: 1, duplicate: 1, deadLettered: 2 })
    expect(harness.letters[0]?.headers['kafka_dlt-exception-fqcn']?.toString()).toBe('idempotency-mismatch')
  })

  it('goes past filtered messages without a claim', async () => {
    const { harness, keys } = once([() => {}], { mode })
    const filtering = route('r', [action(() => {})], { idempotency: byKey, when: () => false })
    harness.processor.swap(subscription([filtering]))
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    expect(keys.asked).toEqual([])
    expect(harness.position()).toBe(1)
  })
})

describe('the same key', () => {
  it('is another one in another route', async () => {
    const notes: string[] = []
    const keysOf = (clock: ConstructorParameters<typeof KeysInMemory>[0]) => new KeysInMemory(clock)
    const routes = ['one', 'two'].map(name => route(name, [action(noting(notes, () => name))], { idempotency: byKey }))
    const harness = new Harness(subscription(routes), { idempotency: keysOf })
    harness.send('e', { key: 'a' })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    expect(notes).toEqual(['one', 'two'])
  })

  it.each([
    ['a text of 201 characters', 'x'.repeat(201)],
    ['half a surrogate pair', '\ud800'],
  ])('is still the same when it is hashed: %s', async (_, key) => {
    const { harness, counters } = once([() => {}])
    harness.send('e', { key })
    harness.send('e', { key })
    harness.send('e', { key: key.replace('x', 'y').replace('\ud800', '\ud801') })
    await harness.clock.settle()
    expect(counters()).toMatchObject({ done: 2, duplicate: 1 })
  })
})

describe('a key that somebody else works on', () => {
  it('is waited for, and runs when the other one gave it up', async () => {
    const notes: unknown[] = []
    const { harness, keys } = once([noting(notes, ({ offset }) => offset)])
    keys.claimElsewhere({ ...somebody, key: fullKey('a'), leaseMs: 1e9 })
    harness.send('e', { key: 'a' })
    await harness.clock.advance(60_000)
    expect(notes).toEqual([])
    expect(harness.position()).toBe(0)
    keys.releaseElsewhere({ ...somebody, key: fullKey('a') })
    await harness.clock.advance(1_000)
    expect(notes).toEqual([0])
  })

  it('is taken over when the lease of a dead instance has run out', async () => {
    const { harness, keys, counters } = once([() => {}])
    keys.claimElsewhere({ ...somebody, key: fullKey('a') })
    harness.send('e', { key: 'a' })
    await harness.clock.advance(29_000)
    expect(counters().done).toBe(0)
    await harness.clock.advance(2_000)
    expect(counters().done).toBe(1)
  })

  it('holds up its own lane only', async () => {
    const { harness, keys, counters } = once([() => {}])
    keys.claimElsewhere({ ...somebody, key: fullKey('a') })
    harness.send('e', { key: 'a' }, 'lane-1')
    harness.send('e', { key: 'b' }, 'lane-2')
    harness.send('e', { key: 'c' }, 'lane-1')
    await harness.clock.settle()
    expect(counters().done).toBe(1)
    await harness.clock.advance(31_000)
    expect(counters().done).toBe(3)
  })

  it('is let go at once when the partition leaves', async () => {
    const { harness, keys } = once([() => {}])
    keys.claimElsewhere({ ...somebody, key: fullKey('a') })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    const revoked = harness.processor.revoked([partition], false)
    await harness.clock.settle()
    await revoked
    expect(harness.committed() ?? 0).toBe(0)
  })
})

describe('the store away', () => {
  it('nothing runs; the route waits and says so once, and goes on when the store is back', async () => {
    const notes: unknown[] = []
    const { harness, keys } = once([noting(notes, ({ offset }) => offset)], { mode: 'down' })
    for (let index = 0; index < 20; index++) harness.send('e', { key: `k${index}` }, `lane-${index}`)
    await harness.clock.advance(120_000)
    expect(notes).toEqual([])
    expect(harness.processor.counters.waitingForStore).toBe(20)
    expect(harness.logged('error')).toEqual(['the idempotency store does not answer: routes with `idempotency` wait for it'])
    keys.mode = 'async'
    await harness.clock.advance(2_000)
    expect(notes).toHaveLength(20)
    expect(harness.position()).toBe(20)
    expect(harness.processor.counters.waitingForStore).toBe(0)
    expect(harness.logged('info')).toEqual(['the idempotency store answers again'])
  })

  it('a message is not done before its completion is stored, and its actions do not run again for it', async () => {
    const notes: unknown[] = []
    const takeStoreDown = async () => {
      keys.mode = 'down'
    }
    const { harness, keys, counters } = once([noting(notes, ({ offset }) => offset, undefined), takeStoreDown])
    harness.send('e', { key: 'a' })
    await harness.clock.advance(10_000)
    expect(notes).toEqual([0])
    expect(harness.position()).toBe(0)
    expect(counters().done).toBe(0)
    keys.mode = 'async'
    await harness.clock.advance(2_000)
    expect(notes).toEqual([0])
    expect(counters().done).toBe(1)
    expect(harness.position()).toBe(1)
  })

  it('an answer that was lost is asked for again, as the same owner', async () => {
    const { harness, keys, counters } = once([() => {}], { mode: 'deaf' })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    keys.mode = 'async'
    await harness.clock.advance(1_000)
    expect(counters()).toMatchObject({ done: 1, duplicate: 0 })
    expect(harness.processor.counters.idempotencyWaits).toBe(0)
  })

  it('does not keep a stop waiting, and what had not started is delivered again', async () => {
    const { harness } = once([() => {}], { mode: 'down' })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    const drained = harness.processor.drain(25_000)
    await harness.clock.settle()
    expect(await drained).toEqual({ finished: true, released: 1, repeated: 0 })
    expect(harness.committed() ?? 0).toBe(0)
  })
})

describe('a lease that is lost', () => {
  it('aborts what runs, starts no further action, and goes on with the same action when the key is ours again', async () => {
    const notes: string[] = []
    const { run, attempts } = holding()
    const { harness, keys, counters } = once([noting(notes, () => 'first'), run, noting(notes, () => 'last')])
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    keys.mode = 'down'
    await harness.clock.advance(29_000)
    expect(attempts[0]?.signal.aborted).toBe(false)
    await harness.clock.advance(1_000)
    expect(attempts[0]?.signal.aborted).toBe(true)
    attempts[0]?.end.resolve(undefined)
    await harness.clock.advance(1_000)
    expect(notes).toEqual(['first'])
    expect(harness.processor.counters.leasesLost).toBe(1)
    expect(harness.logged('warn')).toHaveLength(1)
    keys.mode = 'async'
    await harness.clock.advance(2_000)
    expect(attempts).toHaveLength(2)
    attempts[1]?.end.resolve(undefined)
    await harness.clock.settle()
    expect(notes).toEqual(['first', 'last'])
    expect(counters().done).toBe(1)
    expect(harness.position()).toBe(1)
  })

  it('in a `forEach` goes on with the element that it was at; those that are done do not run again, nor are tries forgotten', async () => {
    const tries: string[] = []
    const results: unknown[] = []
    const { run, attempts } = holding()
    const { harness, keys, counters } = once([])
    const each: Run = (scope, attempt) => {
      tries.push(`${attempt.element}.${attempt.number}`)
      if (attempt.element !== 2) return `done ${attempt.element}`
      if (attempt.number < 3) throw new Error('not yet')
      return run(scope, attempt)
    }
    const forEach = { path: 'data.items', read: () => [0, 1, 2, 3] }
    const actions = [
      action(each, { forEach, as: 'each', timeoutMs: 1e9, retry: steadyRetry }),
      action(noting(results, ({ results: { each: values } }) => values)),
    ]
    harness.processor.swap(subscription([route('r', actions, { idempotency: byKey })]))
    harness.send('e', { key: 'a' })
    await harness.clock.advance(1_000)
    expect(tries).toEqual(['0.1', '1.1', '2.1', '2.2', '2.3'])
    keys.mode = 'down'
    await harness.clock.advance(31_000)
    expect(attempts[0]?.signal.aborted).toBe(true)
    keys.mode = 'async'
    await harness.clock.advance(2_000)
    expect(tries.slice(5)).toEqual(['2.3'])
    attempts[1]?.end.resolve('done 2')
    await harness.clock.settle()
    expect(tries.slice(6)).toEqual(['3.1'])
    expect(results).toEqual([['done 0', 'done 1', 'done 2', 'done 3']])
    expect(counters().done).toBe(1)
    expect(harness.position()).toBe(1)
  })

  it('while an action makes its last try gives the try back, and leaves it no more than `retry` says', async () => {
    const numbers: number[] = []
    const { run, attempts } = holding()
    const { harness, keys } = once([])
    const failing: Run = (scope, attempt) => {
      numbers.push(attempt.number)
      if (attempt.number === 1) throw new Error('not yet')
      return run(scope, attempt)
    }
    const retry = { ...steadyRetry, attempts: 2 }
    harness.processor.swap(subscription([route('r', [action(failing, { timeoutMs: 1e9, retry })], { idempotency: byKey })]))
    harness.send('e', { key: 'a' })
    await harness.clock.advance(1_000)
    keys.mode = 'down'
    await harness.clock.advance(31_000)
    keys.mode = 'async'
    await harness.clock.advance(2_000)
    expect(numbers).toEqual([1, 2, 2])
    attempts[1]?.end.reject(new Error('no'))
    await harness.clock.runOut()
    expect(numbers).toEqual([1, 2, 2])
    expect(harness.letters).toHaveLength(1)
  })

  it('to somebody who completes the key makes the message a duplicate', async () => {
    const { run, attempts } = holding()
    const { harness, keys, counters } = once([run])
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    keys.mode = 'down'
    await harness.clock.advance(31_000)
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toBe('claimed')
    keys.mode = 'async'
    await harness.clock.advance(5_000)
    expect(attempts).toHaveLength(1)
    keys.completeElsewhere({ ...somebody, key: fullKey('a'), ttlMs: 1e6, check: '' })
    await harness.clock.advance(2_000)
    expect(attempts).toHaveLength(1)
    expect(counters()).toMatchObject({ done: 0, duplicate: 1 })
    expect(harness.position()).toBe(1)
  })

  it('is noticed also where no timer had a chance: a process that stood still starts no further action', async () => {
    const notes: string[] = []
    const { harness, keys } = once([() => harness.clock.elapse(31_000), noting(notes, () => 'after')])
    harness.send('e', { key: 'a' })
    expect(notes).toEqual([])
    keys.claimElsewhere({ ...somebody, key: fullKey('a') })
    await harness.clock.advance(10_000)
    expect(notes).toEqual([])
    keys.releaseElsewhere({ ...somebody, key: fullKey('a') })
    await harness.clock.advance(2_000)
    expect(notes).toEqual(['after'])
    expect(harness.position()).toBe(1)
  })

  it('while the last action ran: the message waits until the other holder has completed the key', async () => {
    const { harness, keys, counters } = once([() => harness.clock.elapse(31_000)])
    const claimAfterIt: Run = () => {
      harness.clock.elapse(31_000)
      expect(keys.claimElsewhere({ ...somebody, key: fullKey('b') })).toBe('claimed')
    }
    harness.processor.swap(subscription([route('r', [action(claimAfterIt)], { idempotency: byKey })]))
    harness.send('e', { key: 'b' })
    await harness.clock.advance(10_000)
    expect(harness.position()).toBe(0)
    keys.completeElsewhere({ ...somebody, key: fullKey('b'), ttlMs: 1e6, check: '' })
    await harness.clock.advance(2_000)
    expect(counters().done).toBe(1)
    expect(harness.position()).toBe(1)
  })
})

describe('a partition that leaves', () => {
  it('releases the key of what was cut off: it runs elsewhere at once', async () => {
    const { run, attempts } = holding()
    const { harness, keys } = once([run], { rebalanceMs: 1_000 })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    const revoked = harness.processor.revoked([partition], false)
    await harness.clock.advance(1_000)
    await revoked
    await harness.clock.settle()
    expect(attempts[0]?.signal.aborted).toBe(true)
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toBe('claimed')
    expect(harness.clock.waits.filter(wait => wait > 60_000)).toEqual([])
  })

  it('releases the key of what waits for a retry', async () => {
    const { harness, keys } = once([() => Promise.reject(new Error('no'))])
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    const drained = harness.processor.drain(25_000)
    await harness.clock.settle()
    await drained
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toBe('claimed')
  })

  it('stores the completion of what ends in time', async () => {
    const { run, attempts } = holding()
    const { harness, keys } = once([run], { rebalanceMs: 1_000, mode: 'async' })
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    const revoked = harness.processor.revoked([partition], false)
    await harness.clock.advance(500)
    attempts[0]?.end.resolve(undefined)
    await harness.clock.settle()
    await revoked
    expect(harness.committed()).toBe(1)
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toEqual({ check: '' })
  })
})

describe('a fault of our own', () => {
  it('releases the key', async () => {
    const { harness, keys } = once([() => {}])
    const broken = {
      ...action(() => {}),
      when: () => {
        throw new Error('a bug')
      },
    }
    harness.processor.swap(subscription([route('r', [broken], { idempotency: byKey })]))
    harness.send('e', { key: 'a' })
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(1)
    expect(keys.claimElsewhere({ ...somebody, key: fullKey('a') })).toBe('claimed')
  })

  it('such as no store at all, never lets the actions run', async () => {
    const notes: unknown[] = []
    const harness = new Harness(subscription([route('r', [action(noting(notes, () => 1))], { idempotency: byKey })]))
    harness.deliver([{ value: envelope('e', { key: 'a' }) }])
    await harness.clock.settle()
    expect(notes).toEqual([])
    expect(harness.letters).toHaveLength(1)
  })
})
