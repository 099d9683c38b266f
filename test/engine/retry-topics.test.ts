import { describe, expect, test } from 'vitest'
import { PermanentError } from '../../src/actions/handler.ts'
import type { RetryPolicy, SubscriptionPlan } from '../../src/compiler/plan.ts'
import { Harness, held } from './harness.ts'
import { KeysInMemory } from './keys-in-memory.ts'
import { action, batchAction, envelope, noting, type Run, record, route, subscription } from './plan-builders.ts'

const group = 'app.shop.signalbox-retry'
const retryTopics = [500, 1_000, 2_000].map(longestMs => ({
  topic: `${group}-${longestMs < 1_000 ? `${longestMs}ms` : `${longestMs / 1_000}s`}`,
  longestMs,
}))

/** Waits of 500 ms, 1 s, 2 s. */
const retry: RetryPolicy = { attempts: 4, backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'none', mode: 'topics' }

function shop(routes: SubscriptionPlan['routes'], overrides: Partial<SubscriptionPlan> = {}): SubscriptionPlan {
  return subscription(routes, { retryTopics, ...overrides })
}

const fails: Run = () => {
  throw new TypeError('no')
}

/** Fails so many times, then answers. */
function failsFirst(times: number, result?: unknown): Run {
  let failures = 0
  return () => {
    if (failures++ < times) throw new TypeError('no')
    return result
  }
}

const texts = (headers: object) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.isBuffer(value) ? value.toString() : value]))

describe('a message that fails under `mode: topics`', () => {
  test('waits in the topic of its wait, while its key goes on and its offset is committed', async () => {
    const notes: string[] = []
    const flaky = failsFirst(1)
    const run: Run = (scope, attempt) => {
      notes.push(`${scope.offset} try ${attempt.number} at ${harness.clock.monotonic()}`)
      return scope.offset === 0 ? flaky(scope, attempt) : undefined
    }
    const harness = new Harness(shop([route('one', [action(run, { retry })])]))
    harness.send('e', {}, 'k')
    harness.send('e', {}, 'k')
    await harness.clock.settle()
    expect(notes).toEqual(['0 try 1 at 0', '1 try 1 at 0'])
    await harness.clock.advance(499)
    expect(harness.position()).toBe(2)
    expect(harness.processor.isIdle).toBe(true)
    await harness.clock.runOut()
    expect(notes.slice(2)).toEqual(['0 try 2 at 500'])
    expect(harness.retries.map(({ topic }) => topic)).toEqual([`${group}-500ms`])
    expect(harness.committed(0, `${group}-500ms`)).toBe(1)
    expect(harness.processor.counters).toMatchObject({ retries: 1, retriesInTopics: 1 })
    expect(harness.processor.counters.route('shop/one').done).toBe(2)
  })

  test("carries spring-kafka's headers beside its own, and every try sees the message as it came", async () => {
    const seen: unknown[] = []
    const run: Run = (scope, attempt) => {
      seen.push([scope.topic, scope.offset, scope.timestamp, scope.key, scope.headers, attempt.number, attempt.identity])
      throw new TypeError('no')
    }
    const harness = new Harness(shop([route('one', [action(run, { retry: { ...retry, attempts: 2 } })])]))
    const sent = record({
      offset: 7,
      timestamp: 1_700_000_000_123,
      key: 'k',
      value: envelope('e', { a: 1 }),
      headers: { t: Buffer.from('x') },
    })
    harness.deliverRecords([sent])
    await harness.clock.runOut()
    const [waiting] = harness.retries
    expect(waiting).toMatchObject({ key: sent.key, value: sent.value })
    const { headers } = waiting ?? sent
    const due = Buffer.alloc(8)
    due.writeBigInt64BE(BigInt(Date.UTC(2026, 0, 1) + 500))
    const first = Buffer.alloc(8)
    first.writeBigInt64BE(1_700_000_000_123n)
    expect(headers['retry_topic-attempts']).toEqual(Buffer.from([0, 0, 0, 2]))
    expect(headers['retry_topic-backoff-timestamp']).toEqual(due)
    expect(headers['retry_topic-original-timestamp']).toEqual(first)
    expect(texts(headers)).toMatchObject({ t: 'x', 'signalbox-route': 'shop/one', 'kafka_dlt-original-topic': 'orders' })
    const same = ['orders', 7, 1_700_000_000_123, 'k', { t: 'x' }]
    expect(seen).toEqual([
      [...same, 1, 'orders/0/7'],
      [...same, 2, 'orders/0/7'],
    ])
  })

  test('goes from topic to topic, and after its last try to the dead-letter topic as it came, with all tries counted', async () => {
    const times: number[] = []
    const run: Run = () => {
      times.push(harness.clock.monotonic())
      throw new TypeError('no')
    }
    const harness = new Harness(shop([route('one', [action(run, { retry })])]))
    const sent = record({ offset: 3, key: 'k', value: envelope('e', { a: 1 }), headers: { trace: Buffer.from('t') } })
    harness.deliverRecords([sent])
    await harness.clock.runOut()
    expect(times).toEqual([0, 500, 1_500, 3_500])
    expect(harness.retries.map(({ topic }) => topic)).toEqual(retryTopics.map(({ topic }) => topic))
    expect(harness.letters).toHaveLength(1)
    const [letter] = harness.letters
    expect(letter).toMatchObject({ topic: 'orders.dlq', key: sent.key, value: sent.value })
    const { 'kafka_dlt-original-offset': offset, ...headers } = letter?.headers ?? {}
    expect(offset).toEqual(Buffer.from([0, 0, 0, 0, 0, 0, 0, 3]))
    expect(texts(headers)).toMatchObject({ trace: 't', 'signalbox-attempts': '4', 'signalbox-action': '0:test' })
    expect(Object.keys(headers).filter(name => name.startsWith('retry_topic-'))).toEqual([])
    expect(harness.processor.counters.route('shop/one')).toMatchObject({ done: 0, deadLettered: 1 })
  })

  test('runs only its route, from the action that failed, with the results of those before it', async () => {
    const notes: unknown[] = []
    const harness = new Harness(
      shop([
        route('other', [action(noting(notes, () => 'other'))]),
        route('one', [
          action(
            noting(notes, () => 'first', { url: '/r/1' }),
            { as: 'receipt' },
          ),
          action(failsFirst(1), { retry }),
          action(noting(notes, ({ results }) => results)),
        ]),
      ]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(notes).toEqual(['other', 'first', { receipt: { url: '/r/1' } }])
  })

  test('does not run elements of a forEach again that were done', async () => {
    const items: unknown[] = []
    const flaky = failsFirst(2)
    const run: Run = (scope, attempt) => {
      items.push(`${scope.item} try ${attempt.number}`)
      if (scope.item === 'b') flaky(scope, attempt)
      return `did ${scope.item}`
    }
    const results: unknown[] = []
    const forEach = { path: 'data', read: () => ['a', 'b', 'c'] }
    const last = action(noting(results, scope => scope.results['did']))
    const harness = new Harness(shop([route('one', [action(run, { retry, forEach, as: 'did' }), last])]))
    harness.send('e')
    await harness.clock.runOut()
    expect(items).toEqual(['a try 1', 'b try 1', 'b try 2', 'b try 3', 'c try 1'])
    expect(results).toEqual([['did a', 'did b', 'did c']])
  })

  test('that gave up an action before, under continueOnError, does not count as done after its retry', async () => {
    const harness = new Harness(
      shop([route('one', [action(fails, { retry: { ...retry, attempts: 1 }, continueOnError: true }), action(failsFirst(1), { retry })])]),
    )
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.processor.counters.route('shop/one')).toMatchObject({ done: 0, deadLettered: 1 })
  })

  test('is dead-lettered at once where trying again cannot help', async () => {
    const refuses: Run = () => {
      throw new PermanentError('never')
    }
    const harness = new Harness(shop([route('one', [action(refuses, { retry })])]))
    harness.send('e')
    await harness.clock.runOut()
    expect([harness.retries.length, harness.letters.length]).toEqual([0, 1])
  })

  test('stays uncommitted until its retry is written, which is tried again', async () => {
    let refusals = 2
    const harness = new Harness(shop([route('one', [action(failsFirst(1), { retry })])]), {
      writeRetry: async () => {
        if (refusals-- > 0) throw new Error('not enough replicas')
      },
    })
    harness.send('e')
    await harness.clock.advance(100)
    expect([harness.retries.length, harness.position()]).toEqual([0, 0])
    await harness.clock.runOut()
    expect([harness.retries.length, harness.committed()]).toEqual([1, 1])
    expect(harness.processor.counters.retryTopicFailures).toBe(2)
    expect(harness.logged('error')).toContain(
      'the message could not be written to its retry topic; it stays uncommitted and the write is tried again',
    )
  })

  test('waits in its lane where no retry topic takes it: too large with its headers, or its results are no JSON', async () => {
    const tooLarge = Object.assign(new Error('too large'), { permanent: true })
    const numbers: number[] = []
    const counting: Run = (scope, attempt) => {
      numbers.push(attempt.number)
      return attempt.number < 3 ? fails(scope, attempt) : undefined
    }
    const large = new Harness(shop([route('one', [action(counting, { retry })])]), { writeRetry: () => Promise.reject(tooLarge) })
    large.send('e')
    const odd = new Harness(shop([route('one', [action(() => 1n, { as: 'big' }), action(counting, { retry })])]))
    await large.clock.runOut()
    odd.send('e')
    await odd.clock.runOut()
    expect(numbers).toEqual([1, 2, 3, 1, 2, 3])
    expect([large.committed(), odd.committed(), odd.retries.length]).toEqual([1, 1, 0])
  })
})

test('of a batch only the message that failed waits in a retry topic: later ones of its key are not called again', async () => {
  const calls: string[][] = []
  const failing = new Set(['1'])
  const batch = batchAction(
    async members => {
      const ids = members.map(({ scope }) => String(scope.offset))
      calls.push(members.map(({ scope, attempt }) => `${scope.offset}/${attempt.number}`))
      return ids.map(id => (failing.delete(id) ? { error: new Error('not yet') } : { value: id }))
    },
    { retry },
  )
  const notes: number[] = []
  const harness = new Harness(shop([route('one', [batch, action(noting(notes, ({ offset }) => offset))])]))
  for (let n = 0; n < 3; n++) harness.send('e', {}, 'k')
  await harness.clock.runOut()
  expect(calls).toEqual([['0/1', '1/1', '2/1'], ['1/2']])
  expect(notes).toEqual([0, 2, 1])
  expect(harness.committed()).toBe(3)
})

describe('the consumer of a retry topic', () => {
  test('waits for the first message to be due, and takes those behind it in their order', async () => {
    const notes: string[] = []
    const flaky: Run = (scope, attempt) => {
      if (attempt.number === 1) throw new TypeError('no')
      notes.push(`${scope.offset} at ${harness.clock.monotonic()}`)
    }
    const harness = new Harness(shop([route('one', [action(flaky, { retry })])]))
    harness.send('e', {}, 'a')
    await harness.clock.advance(200)
    harness.send('e', {}, 'b')
    await harness.clock.runOut()
    expect(notes).toEqual(['0 at 500', '1 at 700'])
  })

  test('gives what waits back at a stop, untouched: nothing has to end first, and nothing is repeated later', async () => {
    const harness = new Harness(shop([route('one', [action(fails, { retry })])]))
    harness.send('e')
    await harness.clock.settle()
    const drained = harness.processor.drain(10_000)
    await harness.clock.settle()
    expect(await drained).toEqual({ finished: true, released: 0, repeated: 0 })
    expect([harness.committed(), harness.committed(0, `${group}-500ms`)]).toEqual([1, undefined])
    expect(harness.processor.held.messages).toBe(0)
    expect(harness.clock.waits).toEqual([])
  })

  test('lets a partition move while its messages wait', async () => {
    const harness = new Harness(shop([route('one', [action(failsFirst(1), { retry })])]))
    harness.send('e')
    await harness.clock.settle()
    const partition = { topic: `${group}-500ms`, partition: 0 }
    await harness.processor.revoked([partition], false)
    await harness.clock.runOut()
    expect(harness.processor.counters.route('shop/one').done).toBe(0)
    const [waiting] = harness.retries
    harness.processor.assigned([partition])
    if (waiting !== undefined) harness.processor.records(partition.topic, 0, [{ ...record(partition), ...waiting }], 1, 1)
    await harness.clock.runOut()
    expect(harness.processor.counters.route('shop/one').done).toBe(1)
  })

  test('runs what waits on the newest plan, and dead-letters what that has no route for', async () => {
    const notes: string[] = []
    const plan = shop([route('one', [action(fails, { retry })]), route('two', [action(fails, { retry })])])
    const harness = new Harness(plan)
    harness.send('e')
    await harness.clock.settle()
    harness.processor.swap(subscription([route('one', [action(noting(notes, () => 'mended'))])]))
    await harness.clock.runOut()
    expect(notes).toEqual(['mended'])
    expect(harness.letters.map(({ headers }) => texts(headers))).toMatchObject([
      {
        'signalbox-route': 'shop/two',
        'signalbox-attempts': '1',
        'kafka_dlt-exception-message': 'the route shop/two is not there any more',
      },
    ])
  })

  test('dead-letters a record that is none of its own', async () => {
    const harness = new Harness(shop([route('one', [action(fails, { retry })])]))
    const topic = `${group}-1s`
    harness.processor.records(topic, 0, [record({ topic, value: 'x', headers: { 'retry_topic-attempts': Buffer.from('2') } })], 1, 1)
    await harness.clock.runOut()
    expect(harness.letters.map(({ headers }) => texts(headers))).toMatchObject([
      { 'kafka_dlt-exception-message': 'the record has not the headers of a message that waits for a retry' },
    ])
  })
})

describe('idempotency over a retry topic', () => {
  const byId = { text: '{{id}}', key: () => 'k', ttlMs: 3_600_000, check: false }

  function guarded(run: Run) {
    const made: { keys?: KeysInMemory } = {}
    const harness = new Harness(shop([route('r', [action(run, { retry })], { idempotency: byId })]), {
      idempotency: clock => {
        made.keys = new KeysInMemory(clock)
        return made.keys
      },
    })
    return { harness, keys: made.keys, counters: harness.processor.counters.route('shop/r') }
  }

  test('the claim is let go while the message waits, and taken again for its next try', async () => {
    const { harness, keys, counters } = guarded(failsFirst(1))
    harness.send('e')
    await harness.clock.settle()
    expect(keys?.asked).toEqual(['claim', 'release'])
    await harness.clock.runOut()
    expect(keys?.asked).toEqual(['claim', 'release', 'claim', 'complete'])
    expect(counters).toMatchObject({ done: 1, duplicate: 0, failed: 0 })
  })

  test('a second message of the key that completes it meanwhile makes the waiting one a duplicate', async () => {
    const { harness, counters } = guarded(failsFirst(1))
    harness.send('e')
    await harness.clock.advance(100)
    harness.send('e')
    await harness.clock.settle()
    expect(counters).toMatchObject({ done: 1, duplicate: 0 })
    await harness.clock.runOut()
    expect(counters).toMatchObject({ done: 1, duplicate: 1 })
  })

  test('a second message waits while the retry of the first is at work', async () => {
    const end = held()
    let tries = 0
    const { harness, counters } = guarded((scope, attempt) => (tries++ === 0 ? fails(scope, attempt) : end.promise))
    harness.send('e')
    await harness.clock.advance(600)
    harness.send('e')
    await harness.clock.advance(1_000)
    expect([tries, counters.done]).toEqual([2, 0])
    end.resolve(undefined)
    await harness.clock.runOut()
    expect(tries).toBe(2)
    expect(counters).toMatchObject({ done: 1, duplicate: 1 })
  })
})
