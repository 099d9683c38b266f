import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Ordering } from '../../src/compiler/plan.ts'
import { Harness, type Held, held } from './harness.ts'
import { action, envelope, noDeadLetter, noting, route, steadyRetry, subscription } from './plan-builders.ts'

type Behaviour = 'sync' | 'async' | 'sync-failing' | 'async-failing' | 'fails-once'

const behaviour = fc.constantFrom<Behaviour>('sync', 'async', 'sync-failing', 'async-failing', 'fails-once')

const scenario = fc.record({
  ordering: fc.constantFrom<Ordering>('key', 'partition', 'none'),
  concurrency: fc.integer({ min: 1, max: 6 }),
  messages: fc.array(fc.record({ key: fc.option(fc.constantFrom('a', 'b', 'c', 'd')), partition: fc.nat({ max: 1 }), behaviour }), {
    minLength: 1,
    maxLength: 60,
  }),
  /** Which of the messages at work ends next, one number a step. */
  picks: fc.array(fc.nat(), { minLength: 1, maxLength: 40 }),
  deliveries: fc.integer({ min: 1, max: 9 }),
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

interface AtWork {
  readonly index: number
  readonly lane: string
  readonly end: Held
}

/** Runs a scenario to its end and checks after each step what must always hold. */
async function play({ ordering, concurrency, messages, picks, deliveries }: Scenario): Promise<void> {
  const atWork: AtWork[] = []
  const violations: string[] = []
  const started = new Map<string, number[]>()
  const tries = new Map<number, number>()
  const lanes = messages.map(({ key, partition }, index) => {
    if (ordering === 'none') return `own ${index}`
    return ordering === 'partition' ? `partition ${partition}` : `partition ${partition} key ${key === null ? '(none)' : `"${key}"`}`
  })

  const run = (index: number): unknown => {
    const lane = lanes[index] ?? ''
    const number = (tries.get(index) ?? 0) + 1
    tries.set(index, number)
    if (number === 1) started.set(lane, [...(started.get(lane) ?? []), index])
    if (atWork.some(other => other.lane === lane)) violations.push(`two at once in ${lane}`)
    const how = messages[index]?.behaviour
    if (how === 'sync') return undefined
    if (how === 'sync-failing' || (how === 'fails-once' && number === 1)) throw new Error(`no ${index}`)
    const end = held()
    atWork.push({ index, lane, end })
    return end.promise
  }

  const finish = ({ index, end }: AtWork) => {
    if (messages[index]?.behaviour === 'async-failing') end.reject(new Error(`no ${index}`))
    else end.resolve(null)
  }

  const policies = { retry: { ...steadyRetry, attempts: 2 }, deadLetter: noDeadLetter, timeoutMs: 1e9 }
  const plan = subscription([route('all', [action(scope => run(Number(scope.data)), policies)])], { ordering, concurrency })
  const harness = new Harness(plan, { partitions: [0, 1] })

  const size = Math.ceil(messages.length / deliveries)
  for (let from = 0; from < messages.length; from += size) {
    for (const partition of [0, 1]) {
      const part = messages
        .slice(from, from + size)
        .flatMap((message, index) => (message.partition === partition ? [{ ...message, index: from + index }] : []))
      if (part.length > 0)
        harness.deliver(
          part.map(({ key, index }) => ({ key, value: envelope('e', index) })),
          partition,
        )
    }
    await harness.clock.settle()
    check(atWork, concurrency)
    for (const end of atWork.splice(0, (picks[from % picks.length] ?? 0) % 3)) finish(end)
    await harness.clock.settle()
    check(atWork, concurrency)
  }

  for (let step = 0; ; step++) {
    const next = atWork[(picks[step % picks.length] ?? 0) % Math.max(1, atWork.length)]
    if (next === undefined) {
      if (harness.clock.waits.length === 0) break
      await harness.clock.advance(harness.clock.waits[0] ?? 0)
      continue
    }
    atWork.splice(atWork.indexOf(next), 1)
    finish(next)
    await harness.clock.settle()
    check(atWork, concurrency)
    expectBusy(harness, atWork, ordering, concurrency)
  }

  expect(violations).toEqual([])
  for (const [, indexes] of started) expect(indexes).toEqual([...indexes].sort((one, other) => one - other))
  expect([...started.values()].flat().length).toBe(messages.length)
  expect(harness.processor.counters.settled).toBe(messages.length)
  expect(harness.processor.held.messages).toBe(0)
  expect(harness.processor.held.bytes).toBe(0)
  for (const partition of [0, 1]) {
    const all = messages.filter(message => message.partition === partition).length
    if (all > 0) expect(harness.position(partition)).toBe(all)
    if (all > 0) expect(harness.committed(partition)).toBe(all)
  }
}

function check(atWork: readonly AtWork[], concurrency: number): void {
  expect(atWork.length).toBeLessThanOrEqual(concurrency)
}

/** No place stays empty while a message has not started. What waits for a retry has none. */
function expectBusy(harness: Harness, atWork: readonly AtWork[], ordering: Ordering, concurrency: number): void {
  if (ordering !== 'none') return
  const open = [...harness.processor.assignments].reduce((sum, { tracker }) => sum + tracker.openCount, 0)
  const started = [...harness.processor.assignments].reduce((sum, { running }) => sum + running, 0)
  if (open > started) expect(atWork.length).toBe(concurrency)
}

describe('lanes', () => {
  it('whatever settles when: in order per lane, never two of a lane at once, never more than `concurrency`, everything ends', async () => {
    await fc.assert(fc.asyncProperty(scenario, play), { numRuns: 150 })
  })

  it('different keys run side by side, one key waits for itself', async () => {
    const started: unknown[] = []
    const ends = [held(), held(), held()]
    const plan = subscription([
      route('r', [
        action(({ data }) => {
          started.push(data)
          return ends[Number(data)]?.promise
        }),
      ]),
    ])
    const harness = new Harness(plan)
    harness.deliver(['a', 'a', 'b'].map((key, index) => ({ key, value: envelope('e', index) })))
    expect(started).toEqual([0, 2])
    ends[2]?.resolve(null)
    await harness.clock.settle()
    expect(started).toEqual([0, 2])
    expect(harness.position()).toBe(0)
    ends[0]?.resolve(null)
    await harness.clock.settle()
    expect(started).toEqual([0, 2, 1])
    expect(harness.position()).toBe(1)
  })

  it('a key is told apart by its bytes: no key, an empty key and bytes that are not text are lanes of their own', async () => {
    const started: number[] = []
    const never = new Promise(() => {})
    const plan = subscription([route('r', [action(noting(started, ({ offset }) => offset, never))])])
    const harness = new Harness(plan)
    const keys = [null, Buffer.alloc(0), Buffer.from([0xff]), Buffer.from([0xfe]), Buffer.from([0xff]), null]
    harness.deliverRecords(
      keys.map((key, offset) => ({ topic: 'orders', partition: 0, offset, timestamp: 0, key, value: Buffer.from('1'), headers: {} })),
    )
    expect(started).toEqual([0, 1, 2, 3])
  })

  it('the same key in two partitions is two lanes', () => {
    const started: string[] = []
    const never = new Promise(() => {})
    const plan = subscription([route('r', [action(noting(started, ({ partition, offset }) => `${partition}:${offset}`, never))])])
    const harness = new Harness(plan, { partitions: [0, 1] })
    harness.send('e', {}, 'k', 0)
    harness.send('e', {}, 'k', 1)
    expect(started).toEqual(['0:0', '1:0'])
  })

  it('a retry keeps its key waiting and no other', async () => {
    const done: unknown[] = []
    let failures = 2
    const plan = subscription([
      route('r', [
        action(({ data }) => {
          if (data === 'a1' && failures-- > 0) throw new Error('not yet')
          done.push(data)
        }),
      ]),
    ])
    const harness = new Harness(plan)
    harness.deliver([
      { key: 'a', value: envelope('e', 'a1') },
      { key: 'a', value: envelope('e', 'a2') },
      { key: 'b', value: envelope('e', 'b1') },
    ])
    await harness.clock.settle()
    expect(done).toEqual(['b1'])
    await harness.clock.runOut()
    expect(done).toEqual(['b1', 'a1', 'a2'])
    expect(harness.position()).toBe(3)
  })

  it('a key that was worked off starts again with its next message, in order and side by side with others', async () => {
    const started: unknown[] = []
    const plan = subscription([
      route('r', [
        action(async ({ data }) => {
          started.push(data)
        }),
      ]),
    ])
    const harness = new Harness(plan)
    for (let round = 0; round < 3; round++) {
      harness.send('e', `a${round}`, 'a')
      harness.send('e', `b${round}`, 'b')
      await harness.clock.settle()
    }
    expect(started).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2'])
    expect(harness.position()).toBe(6)
    expect([...harness.processor.assignments].map(({ lanes }) => lanes.inUse())).toEqual([[]])
  })

  it('keys that do not come again are forgotten, and start anew when they do', async () => {
    const handled: unknown[] = []
    const harness = new Harness(subscription([route('r', [action(noting(handled, ({ data }) => data, Promise.resolve()))])]))
    const [assignment] = harness.processor.assignments
    for (let round = 0; round < 2; round++) {
      for (let key = 0; key < 3_000; key++) harness.send('e', `${key}.${round}`, `key-${key}`)
      await harness.clock.settle()
      expect(assignment?.lanes.size).toBeLessThan(1_100)
    }
    expect(new Set(handled).size).toBe(6_000)
    expect(harness.position()).toBe(6_000)
  })

  it('thousands of messages waiting in one lane all run, in order', async () => {
    const started: number[] = []
    const harness = new Harness(subscription([route('r', [action(noting(started, ({ offset }) => offset, Promise.resolve()))])]))
    harness.deliver(Array.from({ length: 2_000 }, () => ({ key: 'k', value: envelope('e', 1) })))
    await harness.clock.settle()
    expect(started).toEqual(Array.from({ length: 2_000 }, (_, offset) => offset))
    expect(harness.position()).toBe(2_000)
  })

  it('a lane that was held up works off its messages without keeping sockets waiting', async () => {
    const first = held()
    let done = 0
    const harness: Harness = new Harness(
      subscription([
        route('r', [
          action(({ offset }) => {
            if (offset === 0) return first.promise
            harness.clock.elapse(1)
            done++
            return undefined
          }),
        ]),
      ]),
    )
    harness.deliver(Array.from({ length: 101 }, () => ({ key: 'k', value: envelope('e', 1) })))
    const before = harness.clock.yields
    first.resolve(null)
    await harness.clock.settle()
    expect(done).toBe(100)
    expect(harness.position()).toBe(101)
    expect(harness.clock.yields - before).toBeGreaterThanOrEqual(10)
  })
})
