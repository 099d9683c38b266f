import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BatchOutcome, IdempotencyPlan, Ordering } from '../../src/compiler/plan.ts'
import { Harness } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, batchAction, envelope, route, subscription } from './plan-builders.ts'

const attempts = 3

/** `fails`: how often the handler reports the message as failed. */
const messageKind = fc.record({
  key: fc.option(fc.constantFrom('a', 'b', 'c')),
  partition: fc.nat({ max: 1 }),
  fails: fc.constantFrom(0, 0, 0, 1, 2, 99),
  isPermanent: fc.boolean(),
  /** Batched, or a message of another route that keeps its key waiting. */
  isSingle: fc.constantFrom(false, false, false, true),
})

const scenario = fc.record({
  ordering: fc.constantFrom<Ordering>('key', 'partition', 'none'),
  concurrency: fc.integer({ min: 1, max: 5 }),
  size: fc.integer({ min: 1, max: 6 }),
  messages: fc.array(messageKind, { minLength: 1, maxLength: 40 }),
  deliveries: fc.integer({ min: 1, max: 6 }),
  /** How long calls take, in ms, and which of them fail as a whole: one number a call. */
  takes: fc.array(fc.record({ ms: fc.integer({ min: 0, max: 80 }), throws: fc.constantFrom(false, false, false, false, true) }), {
    minLength: 1,
    maxLength: 12,
  }),
  store: fc.constantFrom<'none' | 'sync' | 'async'>('none', 'sync', 'async'),
  /** Offset from which the first partition leaves, and what comes after it too; none: it stays. */
  drainsAfter: fc.option(fc.integer({ min: 0, max: 200 })),
})

type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never

const byIndex: IdempotencyPlan = { text: '{{data}}', key: ({ data }) => String(data), ttlMs: 3_600_000, check: false }

/** Plays a scenario to its end: what must always hold while it runs is checked at each call. */
async function play({ ordering, concurrency, size, messages, deliveries, takes, store, drainsAfter }: Scenario): Promise<void> {
  const lanes = messages.map(({ key, partition }, index) => {
    if (ordering === 'none') return `own ${index}`
    return ordering === 'partition' ? `partition ${partition}` : `partition ${partition} key ${key === null ? '(none)' : `"${key}"`}`
  })
  const violations: string[] = []
  const inCall = new Set<string>()
  const failures = new Map<number, number>()
  /** Messages whose last call was fine, and those given up, in the order in which that was so. */
  const ended: number[] = []
  const after: number[] = []
  let calls = 0

  const batch = batchAction(
    async (members, signal) => {
      const { ms, throws } = takes[calls++ % takes.length] ?? { ms: 0, throws: false }
      const indexes = members.map(({ scope }) => Number(scope.data))
      if (indexes.length > size) violations.push(`${indexes.length} in a call`)
      const mine = new Set(indexes.map(index => lanes[index] ?? ''))
      for (const lane of mine) {
        if (inCall.has(lane)) violations.push(`two calls at once for ${lane}`)
        inCall.add(lane)
        const ofLane = indexes.filter(index => lanes[index] === lane)
        if (ofLane.some((index, at) => at > 0 && index <= (ofLane[at - 1] ?? 0))) violations.push(`not in order: ${ofLane}`)
        // Nothing is skipped: what comes before in the lane has ended, or stands in this call.
        for (const index of ofLane)
          for (let earlier = 0; earlier < index; earlier++)
            if (lanes[earlier] === lane && !ended.includes(earlier) && !ofLane.includes(earlier))
              violations.push(`${index} was called before ${earlier} had ended`)
      }
      for (const [at, { attempt }] of members.entries())
        if (attempt.number > (failures.get(indexes[at] ?? 0) ?? 0) + 1)
          violations.push(`an attempt of ${indexes[at]} was used up by another`)
      await new Promise<void>(resolve => void harness.clock.schedule(ms, resolve))
      for (const lane of mine) inCall.delete(lane)
      if (signal.aborted) return []
      const blocked = new Set<string>()
      return indexes.map((index, at): BatchOutcome => {
        const { fails = 0, isPermanent = false } = messages[index] ?? {}
        const lane = lanes[index] ?? ''
        const before = failures.get(index) ?? 0
        const isFailing = throws || before < fails
        if (isFailing) failures.set(index, before + 1)
        const isLast = (isPermanent && !throws) || (members[at]?.attempt.number ?? 0) >= attempts
        if (isFailing && !isLast) blocked.add(lane)
        if (!blocked.has(lane)) ended.push(index)
        if (!isFailing) return { value: null }
        return { error: Object.assign(new Error(`no ${index}`), isPermanent && !throws ? { permanent: true } : {}) }
      })
    },
    {
      size,
      waitMs: 30,
      timeoutMs: 1e9,
      retry: { attempts, backoff: 'fixed', delayMs: 50, maxDelayMs: 50, jitter: 'none', mode: 'in-order' },
    },
  )
  const then = action(
    ({ data }, { number }) => {
      if (Number(data) % 4 === 0 && number === 1) throw new Error('not yet')
      after.push(Number(data))
    },
    { timeoutMs: 1e9 },
  )
  const single = action(({ data }) => {
    for (let earlier = 0; earlier < Number(data); earlier++)
      if (lanes[earlier] === lanes[Number(data)] && !ended.includes(earlier)) violations.push(`${data} ran before ${earlier} had ended`)
    ended.push(Number(data))
  })
  const idempotency = store === 'none' ? undefined : byIndex
  const plan = subscription(
    [route('many', [batch, then], { events: ['many'], idempotency }), route('one', [single], { events: ['one'] })],
    {
      ordering,
      concurrency,
    },
  )
  const harness: Harness = new Harness(plan, {
    partitions: [0, 1],
    ...(store === 'none' ? {} : { idempotency: clock => new KeysInMemory(clock, store) }),
  })

  const each = Math.ceil(messages.length / deliveries)
  for (let from = 0; from < messages.length; from += each) {
    for (const partition of [0, 1]) {
      const part = messages
        .slice(from, from + each)
        .flatMap(({ key, partition: of, isSingle }, at) =>
          of === partition ? [{ key, value: envelope(isSingle ? 'one' : 'many', from + at) }] : [],
        )
      if (part.length > 0) harness.deliver(part, partition)
    }
    await harness.clock.advance(15)
  }
  const offsetOf = messages.map(({ partition }, index) => messages.slice(0, index).filter(other => other.partition === partition).length)
  if (drainsAfter !== null) {
    await harness.clock.advance(drainsAfter)
    await Promise.all([harness.processor.drain(60_000), harness.clock.advance(60_000)])
    expect(violations).toEqual([])
    // All that is committed has ended.
    for (const partition of [0, 1]) {
      const committed = harness.committed(partition) ?? 0
      for (const [index, message] of messages.entries())
        if (message.partition === partition && (offsetOf[index] ?? 0) < committed) expect(ended).toContain(index)
    }
    expect(harness.processor.held.messages).toBe(0)
    return
  }
  await harness.clock.runOut()
  expect(violations).toEqual([])
  expect(ended.toSorted((a, b) => a - b)).toEqual(messages.map((_, index) => index))
  for (const lane of new Set(lanes)) {
    const ofLane = after.filter(index => lanes[index] === lane)
    expect(ofLane).toEqual(ofLane.toSorted((a, b) => a - b))
  }
  const { done, deadLettered, duplicate } = harness.processor.counters.route('shop/many')
  const isBatched = messages.filter(({ isSingle }) => !isSingle).length
  expect(new Set(after).size).toBe(after.length)
  expect([after.length, duplicate]).toEqual([done, 0])
  expect(done + deadLettered).toBe(isBatched)
  expect(harness.letters).toHaveLength(deadLettered)
  expect(harness.processor.counters.settled).toBe(messages.length)
  expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  for (const partition of [0, 1]) {
    const all = messages.filter(message => message.partition === partition).length
    if (all > 0) expect(harness.committed(partition)).toBe(all)
  }
}

test('whatever fails, however long calls take: a key keeps its order, no attempt is used up by another message, everything ends', async () => {
  await fc.assert(fc.asyncProperty(scenario, play), { numRuns: 200 })
})
