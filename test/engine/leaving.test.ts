import { describe, expect, it } from 'vitest'
import { readDoneAhead } from '../../src/engine/done-ahead.ts'
import { MessageLimit } from '../../src/engine/message-limit.ts'
import { Harness, type HarnessOptions, type Held, held } from './harness.ts'
import { action, envelope, noting, record, route, steadyRetry, subscription } from './plan-builders.ts'

const partition = (number = 0) => ({ topic: 'orders', partition: number })

/** Every message waits until the test ends it; its data names it. */
function holding(options: HarnessOptions & { readonly concurrency?: number } = {}) {
  const { concurrency = 64, ...rest } = options
  const ends = new Map<unknown, Held>()
  const signals = new Map<unknown, AbortSignal>()
  const after: unknown[] = []
  const hold = action(
    ({ data }, { signal }) => {
      const end = held()
      ends.set(data, end)
      signals.set(data, signal)
      return end.promise
    },
    { timeoutMs: 1e9, retry: steadyRetry },
  )
  const harness = new Harness(subscription([route('r', [hold, action(noting(after, ({ data }) => data))])], { concurrency }), rest)
  return { harness, ends, signals, after }
}

/** Whether a promise has settled, with its value, without waiting for it. */
function watch<T>(promise: Promise<T>): { value: T | undefined; settled: boolean } {
  const watched: { value: T | undefined; settled: boolean } = { value: undefined, settled: false }
  void promise.then(value => {
    watched.value = value
    watched.settled = true
  })
  return watched
}

describe('a partition that is revoked', () => {
  it('lets running work end, further actions included, commits it, and starts nothing new', async () => {
    const { harness, ends, after } = holding()
    harness.send('e', 'one', 'k')
    harness.send('e', 'two', 'k')
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(3_000)
    expect(left.settled).toBe(false)
    ends.get('one')?.resolve(null)
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    expect(after).toEqual(['one'])
    expect([...ends.keys()]).toEqual(['one'])
    expect(harness.committed()).toBe(1)
    expect([...harness.processor.assignments]).toEqual([])
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('first runs what waits below messages that ran already: these would otherwise run again elsewhere', async () => {
    const { harness, ends } = holding()
    for (const [name, key] of Object.entries({ one: 'a', gap: 'a', ahead: 'b', behind: 'a', after: 'b' })) harness.send('e', name, key)
    ends.get('ahead')?.resolve(null)
    await harness.clock.settle()
    expect([...ends.keys()]).toEqual(['one', 'ahead', 'after'])
    const left = watch(harness.processor.revoked([partition()], false))
    ends.get('one')?.resolve(null)
    await harness.clock.settle()
    expect([...ends.keys()]).toEqual(['one', 'ahead', 'after', 'gap'])
    ends.get('gap')?.resolve(null)
    await harness.clock.settle()
    ends.get('behind')?.resolve(null)
    await harness.clock.settle()
    expect(left.settled).toBe(false)
    ends.get('after')?.resolve(null)
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    expect(harness.committed()).toBe(5)
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('runs nothing above a message that is released from its retry wait', async () => {
    const ran: unknown[] = []
    const failing = action(({ data }) => {
      ran.push(data)
      if (data === 'bad') throw new Error('busy')
      return held().promise
    })
    const harness = new Harness(subscription([route('r', [failing])]))
    for (const [name, key] of Object.entries({ bad: 'a', waits: 'a', other: 'b', gap: 'b', ahead: 'c' })) harness.send('e', name, key)
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(5_000)
    expect(left.settled).toBe(true)
    expect(ran).toEqual(['bad', 'other', 'ahead'])
    expect(harness.committed() ?? 0).toBe(0)
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('gives up gaps that are not filled in time', async () => {
    const { harness, ends } = holding({ rebalanceMs: 1_000 })
    for (const [name, key] of Object.entries({ one: 'a', gap: 'a', ahead: 'b' })) harness.send('e', name, key)
    const left = watch(harness.processor.revoked([partition()], false))
    ends.get('ahead')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(left.settled).toBe(true)
    ends.get('one')?.resolve(null)
    await harness.clock.advance(1_000)
    expect([...ends.keys()]).toEqual(['one', 'ahead'])
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('waits as long as is allowed at that moment', async () => {
    let rebalanceMs = 60_000
    const { harness } = holding({ rebalanceMs: () => rebalanceMs })
    harness.send('e', 'one', 'a')
    rebalanceMs = 1_000
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(1_000)
    expect(left.settled).toBe(true)
  })

  it('waits no longer than allowed; what still runs is aborted, acts no more and is never committed', async () => {
    const { harness, ends, signals, after } = holding({ rebalanceMs: 5_000 })
    harness.send('e', 'one', 'a')
    harness.send('e', 'two', 'b')
    const left = watch(harness.processor.revoked([partition()], false))
    ends.get('one')?.resolve(null)
    await harness.clock.advance(4_999)
    expect(left.settled).toBe(false)
    expect(signals.get('two')?.aborted).toBe(false)
    await harness.clock.advance(1)
    expect(left.settled).toBe(true)
    expect(signals.get('two')?.aborted).toBe(true)
    expect(signals.get('two')?.reason).toMatchObject({ name: 'AttemptReleased' })
    ends.get('two')?.resolve(null)
    await harness.clock.advance(60_000)
    expect(after).toEqual(['one'])
    expect(harness.committed()).toBe(1)
  })

  it('does not wait for retries: the message is released at once and delivered again elsewhere', async () => {
    const tries: number[] = []
    const failing = action((_scope, { number }) => {
      tries.push(number)
      throw new Error('busy')
    })
    const harness = new Harness(subscription([route('r', [failing])]))
    harness.send('e')
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    await harness.clock.runOut()
    expect(tries).toEqual([1])
    expect(harness.committed() ?? 0).toBe(0)
    expect(harness.letters).toEqual([])
  })

  it('an attempt that fails while the partition leaves is not tried again there', async () => {
    const { harness, ends } = holding()
    harness.send('e', 'one')
    const left = watch(harness.processor.revoked([partition()], false))
    ends.get('one')?.reject(new Error('busy'))
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    expect(harness.committed() ?? 0).toBe(0)
  })

  it('is not committed past a message of which one route was released, though its other route is done', async () => {
    const failing = action(() => {
      throw new Error('busy')
    })
    const harness = new Harness(subscription([route('retries', [failing]), route('done', [action(async () => null)])]))
    harness.send('e')
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    expect(harness.committed() ?? 0).toBe(0)
    expect(harness.processor.counters.settled).toBe(0)
  })

  it('a dead letter still on its way when time is up is released, not counted as a failed write', async () => {
    const fail = action(
      () => {
        throw new Error('no')
      },
      { retry: { ...steadyRetry, attempts: 1 } },
    )
    const harness = new Harness(subscription([route('r', [fail])]), { writeDeadLetter: () => new Promise(() => {}) })
    harness.send('e')
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(5_000)
    expect(left.settled).toBe(true)
    expect(harness.processor.counters.deadLetterFailures).toBe(0)
    expect(harness.committed() ?? 0).toBe(0)
  })

  it('leaves the others alone', async () => {
    const { harness, ends } = holding({ partitions: [0, 1] })
    harness.send('e', 'leaves', null, 0)
    harness.send('e', 'stays', null, 1)
    const left = watch(harness.processor.revoked([partition(0)], false))
    await harness.clock.advance(5_000)
    expect(left.settled).toBe(true)
    harness.send('e', 'next', null, 1)
    ends.get('stays')?.resolve(null)
    await harness.clock.settle()
    ends.get('next')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(harness.committed(1)).toBe(2)
    expect(harness.committed(0) ?? 0).toBe(0)
  })

  it('a commit that never answers does not keep it', async () => {
    const harness = new Harness(subscription([route('r', [action(() => null)])]), { commit: () => new Promise(() => {}) })
    harness.send('e')
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(10_000)
    expect(left.settled).toBe(true)
  })

  it('is told of in the log, with what of it runs again elsewhere', async () => {
    const { harness, ends } = holding({ rebalanceMs: 1_000, commit: () => Promise.reject(new Error('no')) })
    for (const key of ['a', 'b', 'c']) harness.send('e', key, key)
    ends.get('c')?.resolve(null)
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], false))
    await harness.clock.advance(1_000)
    expect(left.settled).toBe(true)
    expect(harness.processor.counters).toMatchObject({ released: 2, repeated: 1 })
    expect(harness.log.findLast(({ level }) => level === 'warn')?.fields).toMatchObject({ released: 2, repeated: 1, finished: false })
  })

  it('leaves no word where nothing of it is delivered again', async () => {
    const { harness, ends } = holding()
    harness.send('e', 'one')
    ends.get('one')?.resolve(null)
    await harness.clock.settle()
    await harness.processor.revoked([partition()], false)
    expect(harness.logged('warn')).toEqual([])
    expect(harness.processor.counters).toMatchObject({ released: 0, repeated: 0 })
  })

  it('places that were taken by what was cut off are free again', async () => {
    const { harness, ends } = holding({ partitions: [0, 1], concurrency: 1 })
    harness.send('e', 'cut off', null, 0)
    harness.send('e', 'next', null, 1)
    const left = watch(harness.processor.revoked([partition(0)], false))
    await harness.clock.advance(5_000)
    expect(left.settled).toBe(true)
    expect([...ends.keys()]).toEqual(['cut off', 'next'])
  })
})

describe('a partition that is lost', () => {
  it('counts what had finished and was not committed', async () => {
    const { harness, ends } = holding()
    for (const key of ['a', 'b', 'c']) harness.send('e', key, key)
    ends.get('a')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(1)
    ends.get('b')?.resolve(null)
    await harness.clock.settle()
    await harness.processor.revoked([partition()], true)
    expect(harness.processor.counters).toMatchObject({ released: 1, repeated: 1 })
  })

  it('is aborted at once and nothing of it is committed', async () => {
    const { harness, ends, signals, after } = holding()
    harness.send('e', 'one', 'a')
    harness.send('e', 'two', 'b')
    ends.get('one')?.resolve(null)
    await harness.clock.settle()
    const left = watch(harness.processor.revoked([partition()], true))
    await harness.clock.settle()
    expect(left.settled).toBe(true)
    expect(signals.get('two')?.aborted).toBe(true)
    ends.get('two')?.resolve(null)
    await harness.clock.advance(60_000)
    expect(harness.commits).toEqual([])
    expect(after).toEqual(['one'])
  })

  it('is left out of a commit that was waiting for its turn when it was lost', async () => {
    const first = held<void>()
    let requests = 0
    const plan = subscription([route('r', [action(() => null)])])
    const harness = new Harness(plan, { partitions: [0, 1], commit: () => (requests++ === 0 ? first.promise : Promise.resolve()) })
    harness.send('e', {}, null, 0)
    harness.send('e', {}, null, 1)
    await harness.clock.advance(1_000)
    expect(requests).toBe(1)
    harness.send('e', {}, null, 0)
    harness.send('e', {}, null, 1)
    const other = watch(harness.processor.revoked([partition(0), partition(1)], false))
    await harness.clock.settle()
    void harness.processor.revoked([partition(0)], true)
    await harness.clock.settle()
    first.resolve()
    await harness.clock.advance(10_000)
    expect(other.settled).toBe(true)
    expect(harness.commits.slice(1)).toEqual([[{ topic: 'orders', partition: 1, offset: 2 }]])
  })

  it.each(Array.from({ length: 16 }, (_, ticks) => ticks))(
    'is in no commit asked for after it was lost, %i promise jobs into one',
    async ticks => {
      let lost = false
      const late: number[] = []
      const plan = subscription([route('r', [action(() => null)])])
      const harness = new Harness(plan, {
        partitions: [0, 1],
        commit: async offsets => {
          if (lost) late.push(...offsets.map(offset => offset.partition))
        },
      })
      harness.send('e', {}, null, 0)
      harness.send('e', {}, null, 1)
      void harness.processor.revoked([partition(0), partition(1)], false)
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
      lost = true
      void harness.processor.revoked([partition(0)], true)
      await harness.clock.advance(10_000)
      expect(late).not.toContain(0)
      expect([...late, ...harness.commits.flat().map(commit => commit.partition)]).toContain(1)
    },
  )

  it('starts no further action, though the one before had just ended', async () => {
    const ran: number[] = []
    const forEach = { path: 'data', read: () => Array.from({ length: 1_000 }, (_, index) => index) }
    const harness = new Harness(
      subscription([
        route('r', [
          action(
            noting(ran, (_scope, { element }) => element ?? -1),
            { forEach },
          ),
        ]),
      ]),
    )
    harness.send('e')
    for (let tick = 0; tick < 10; tick++) await Promise.resolve()
    void harness.processor.revoked([partition()], true)
    const before = ran.length
    await harness.clock.settle()
    expect(before).toBeGreaterThan(0)
    expect(before).toBeLessThan(1_000)
    expect(ran).toHaveLength(before)
  })

  it('and assigned again starts clean: nothing of the old assignment counts for the new one', async () => {
    const { harness, ends, after } = holding()
    harness.send('e', 'old', 'k')
    harness.send('e', 'old, queued', 'k')
    void harness.processor.revoked([partition()], true)
    harness.processor.assigned([partition()])
    harness.deliverRecords([record({ offset: 0, key: 'k', value: envelope('e', 'new') })])
    await harness.clock.settle()
    expect([...ends.keys()]).toEqual(['old', 'new'])
    ends.get('old')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(harness.position()).toBe(0)
    expect(harness.processor.held.messages).toBe(1)
    ends.get('new')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(after).toEqual(['new'])
    expect(harness.committed()).toBe(1)
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('records that still come for it are left to its new owner', async () => {
    const { harness, ends } = holding()
    void harness.processor.revoked([partition()], true)
    harness.send('e', 'late')
    await harness.clock.settle()
    harness.send('e', 'later')
    await harness.clock.settle()
    expect([...ends.keys()]).toEqual([])
    expect(harness.processor.counters.received).toBe(0)
  })
})

describe('drain', () => {
  it('stops fetching, finishes what runs, commits, and says so', async () => {
    const { harness, ends, after } = holding({ partitions: [0, 1] })
    harness.send('e', 'one', 'k', 0)
    harness.send('e', 'queued', 'k', 0)
    harness.send('e', 'two', 'k', 1)
    const result = watch(harness.processor.drain(25_000))
    expect([...harness.paused]).toEqual(['orders/0', 'orders/1'])
    harness.send('e', 'too late', 'x', 1)
    await harness.clock.advance(1_000)
    ends.get('one')?.resolve(null)
    ends.get('two')?.resolve(null)
    await harness.clock.settle()
    expect(result.value).toEqual({ finished: true, released: 0, repeated: 0 })
    expect(after).toEqual(['one', 'two'])
    expect(harness.committed(0)).toBe(1)
    expect(harness.committed(1)).toBe(1)
    expect(harness.clock.waits).toEqual([])
  })

  it('counts what waited for a retry as released', async () => {
    const failing = action(() => {
      throw new Error('busy')
    })
    const harness = new Harness(subscription([route('r', [failing])]))
    for (const key of ['a', 'b', 'c']) harness.send('e', {}, key)
    await harness.clock.settle()
    const result = watch(harness.processor.drain(25_000))
    await harness.clock.settle()
    expect(result.value).toEqual({ finished: true, released: 3, repeated: 0 })
    expect(harness.committed() ?? 0).toBe(0)
  })

  it('tells the broker of what finished above a message that is released: that alone runs again, and is counted', async () => {
    const failing = action(
      ({ data }) => {
        if (data === 'bad') throw new Error('busy')
      },
      { retry: { ...steadyRetry, delayMs: 30_000 } },
    )
    const harness = new Harness(subscription([route('r', [failing])]))
    harness.send('e', 'below', 'k')
    harness.send('e', 'bad', 'a')
    for (let index = 0; index < 100; index++) harness.send('e', index, `k${index}`)
    await harness.clock.settle()
    const result = watch(harness.processor.drain(25_000))
    await harness.clock.settle()
    expect(result.value).toEqual({ finished: true, released: 1, repeated: 0 })
    const { offset, metadata } = harness.commits.flat().at(-1) ?? {}
    expect(offset).toBe(1)
    expect(readDoneAhead(metadata, 1)).toEqual({ offset: 1, bounds: [2, 102] })
    expect(harness.log.filter(({ level }) => level === 'warn')).toEqual([
      {
        level: 'warn',
        fields: { subscription: 'shop', released: 1, repeated: 0, finished: true },
        message: 'messages will be delivered again: those released, and up to so many repeated that were finished',
      },
    ])
    expect(harness.processor.counters).toMatchObject({ released: 1, repeated: 0 })
    // Its consumer leaves the group after that: the same partition is not counted twice.
    await harness.processor.revoked([partition()], false)
    expect(harness.processor.counters).toMatchObject({ released: 1, repeated: 0 })
    expect(harness.logged('warn')).toHaveLength(1)
    expect(harness.commits).toHaveLength(1)
  })

  it('counts what a last commit that failed leaves to be delivered again', async () => {
    const harness = new Harness(subscription([route('r', [action(() => null)])]), { commit: () => Promise.reject(new Error('no')) })
    for (let index = 0; index < 5; index++) harness.send('e')
    const result = watch(harness.processor.drain(25_000))
    await harness.clock.settle()
    expect(result.value).toEqual({ finished: true, released: 0, repeated: 5 })
  })

  it('cuts off what does not end in time, and counts it once', async () => {
    const { harness, ends, signals } = holding()
    harness.send('e', 'ends', 'a')
    harness.send('e', 'hangs', 'b')
    const result = watch(harness.processor.drain(1_000))
    ends.get('ends')?.resolve(null)
    await harness.clock.advance(1_000)
    expect(result.value).toEqual({ finished: false, released: 1, repeated: 0 })
    expect(signals.get('hangs')?.aborted).toBe(true)
    expect(harness.committed()).toBe(1)
    await harness.clock.advance(60_000)
    expect(result.value).toEqual({ finished: false, released: 1, repeated: 0 })
  })

  it('without time cuts off at once; with nothing running that is a clean end', async () => {
    const busy = holding()
    busy.harness.send('e', 'hangs')
    const cut = watch(busy.harness.processor.drain(0))
    const clean = watch(holding().harness.processor.drain(0))
    await busy.harness.clock.settle()
    expect(cut.value).toEqual({ finished: false, released: 1, repeated: 0 })
    expect(clean.value).toEqual({ finished: true, released: 0, repeated: 0 })
  })

  it('leaves what waits for a turn untouched', async () => {
    const ran: unknown[] = []
    const harness: Harness = new Harness(
      subscription(
        [
          route('r', [
            action(({ offset }) => {
              harness.clock.elapse(5)
              ran.push(offset)
            }),
          ]),
        ],
        { batch: { size: 1, timeoutMs: undefined } },
      ),
    )
    harness.deliver(Array.from({ length: 100 }, () => ({ value: '1' })))
    const started = ran.length
    const result = watch(harness.processor.drain(1_000))
    await harness.clock.settle()
    expect(result.value).toEqual({ finished: true, released: 0, repeated: 0 })
    expect(started).toBeLessThan(100)
    expect(ran).toHaveLength(started)
    expect(harness.committed()).toBe(started)
  })

  it('is bounded when a commit never answers', async () => {
    const harness = new Harness(subscription([route('r', [action(() => null)])]), { commit: () => new Promise(() => {}) })
    harness.send('e')
    const result = watch(harness.processor.drain(1_000))
    await harness.clock.advance(10_000)
    expect(result.settled).toBe(true)
  })
})

describe('maxMessages', () => {
  it.each([1, 3, 4, 7, 12])('%i messages run, no more and no fewer, and the rest stays for the next run', async maxMessages => {
    const ran: unknown[] = []
    let told = 0
    const harness = new Harness(subscription([route('r', [action(noting(ran, ({ offset }) => offset))])]), {
      maxMessages,
      onLimit: () => told++,
    })
    for (let delivery = 0; delivery < 4; delivery++) harness.deliver(Array.from({ length: 4 }, () => ({ value: '1' })))
    await harness.clock.advance(1_000)
    expect(ran).toEqual(Array.from({ length: maxMessages }, (_, index) => index))
    expect(told).toBe(1)
    expect(harness.committed()).toBe(maxMessages)
    expect(harness.processor.counters.received).toBe(maxMessages)
    expect([...harness.paused]).toEqual(['orders/0'])
  })

  it('is told only once all of them have ended, those that wait in lanes and for retries too', async () => {
    const told: number[] = []
    const ran: unknown[] = []
    let failed = false
    const harness: Harness = new Harness(
      subscription([
        route('r', [
          action(async ({ offset }) => {
            if (offset === 1 && !failed) {
              failed = true
              throw new Error('busy')
            }
            ran.push(offset)
          }),
        ]),
      ]),
      { maxMessages: 3, onLimit: () => told.push(harness.clock.monotonic()) },
    )
    harness.deliver(Array.from({ length: 5 }, () => ({ key: 'k', value: '1' })))
    await harness.clock.advance(99)
    expect(told).toEqual([])
    await harness.clock.advance(1)
    expect(ran).toEqual([0, 1, 2])
    expect(told).toEqual([100])
    expect(harness.position()).toBe(3)
  })

  it('fetches nothing more while the last ones end, window or not', async () => {
    const plan = { concurrency: 64, maxMessages: 12 }
    const { harness, ends } = holding(plan)
    harness.processor.swap({ ...harness.processor.plan, window: { messages: 10, bytes: 1e9 } })
    harness.deliver(Array.from({ length: 11 }, (_, index) => ({ key: `k${index}`, value: envelope('e', index) })))
    expect(harness.flow).toEqual(['pause orders/0'])
    harness.send('e', 11, 'last')
    for (const end of [...ends.values()].slice(0, 10)) end.resolve(null)
    await harness.clock.settle()
    expect(harness.flow).not.toContain('resume orders/0')
  })

  it('counts over all partitions', async () => {
    const ran: unknown[] = []
    let told = 0
    const plan = subscription([route('r', [action(noting(ran, ({ partition: of, offset }) => `${of}/${offset}`))])])
    const harness = new Harness(plan, { partitions: [0, 1], maxMessages: 3, onLimit: () => told++ })
    for (const of of [0, 1, 0, 1]) harness.send('e', {}, null, of)
    expect(ran).toEqual(['0/0', '1/0', '0/1'])
    expect(told).toBe(1)
  })

  it('is shared exactly by several subscriptions, and told when the last message of any of them has ended', async () => {
    const ran: string[] = []
    let told = 0
    const limit = new MessageLimit(5, () => told++)
    const last = held()
    const quick = new Harness(subscription([route('r', [action(() => ran.push('quick'))])]), { limit })
    const slow = new Harness(
      subscription([
        route('r', [
          action(async () => {
            await last.promise
            ran.push('slow')
          }),
        ]),
      ]),
      { limit },
    )
    slow.deliver([{ value: '1' }])
    quick.deliver(Array.from({ length: 9 }, () => ({ value: '1' })))
    slow.deliver([{ value: '2' }])
    await quick.clock.settle()
    expect(ran).toEqual(['quick', 'quick', 'quick', 'quick'])
    expect(told).toBe(0)
    last.resolve(null)
    await slow.clock.settle()
    expect(ran).toEqual(['quick', 'quick', 'quick', 'quick', 'slow'])
    expect(told).toBe(1)
    expect([quick.position(), slow.position()]).toEqual([4, 1])
  })

  it('is told although a partition stopped or left on the way', async () => {
    const { harness } = holding({ partitions: [0, 1], maxMessages: 2, onLimit: () => told++ })
    let told = 0
    harness.send('e', 'hangs', null, 0)
    harness.send('e', 'hangs too', null, 1)
    expect(told).toBe(0)
    void harness.processor.revoked([partition(0), partition(1)], true)
    await harness.clock.settle()
    expect(told).toBe(1)
  })
})
