import { describe, expect, it } from 'vitest'
import type { DeadLetterPolicy, SubscriptionPlan } from '../../src/compiler/plan.ts'
import type { DeadLetterRecord } from '../../src/engine/ports.ts'
import { Harness, held } from './harness.ts'
import { action, envelope, noDeadLetter, record, route, steadyRetry, stopOnFailure, subscription } from './plan-builders.ts'

const failing = (overrides: Parameters<typeof action>[1] = {}) =>
  action(
    () => {
      throw new Error('busy')
    },
    { retry: { ...steadyRetry, attempts: 2 }, ...overrides },
  )

const texts = (letter: DeadLetterRecord | undefined) =>
  Object.fromEntries(Object.entries(letter?.headers ?? {}).map(([name, value]) => [name, String(value)]))

describe('a dead letter', () => {
  it('has the original key, value and headers byte for byte, and says where it came from and why', async () => {
    const key = Buffer.from([0, 255, 1])
    const value = Buffer.from('{"event": "e",  "data": "spaces  stay"}')
    const traces = [Buffer.from('a'), Buffer.from([0xff])]
    const harness = new Harness(subscription([route('r', [action(() => null), failing({ kind: 'broadcast' })])]))
    harness.deliverRecords([
      { topic: 'orders', partition: 0, offset: 4_294_967_296, timestamp: 1_767_225_600_123, key, value, headers: { trace: traces } },
    ])
    await harness.clock.runOut()
    const [letter] = harness.letters
    expect(letter?.topic).toBe('orders.dlq')
    expect(letter?.key).toBe(key)
    expect(letter?.value).toBe(value)
    expect(letter?.headers['trace']).toBe(traces)
    const { 'kafka_dlt-exception-stacktrace': stack, trace: _trace, ...headers } = letter?.headers ?? {}
    expect(String(stack)).toMatch(/^Error: busy\n/)
    const int64 = (number: bigint) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(number)
      return bytes
    }
    expect(headers).toEqual({
      'kafka_dlt-original-topic': Buffer.from('orders'),
      'kafka_dlt-original-partition': Buffer.from([0, 0, 0, 0]),
      'kafka_dlt-original-offset': int64(4_294_967_296n),
      'kafka_dlt-original-timestamp': int64(1_767_225_600_123n),
      'kafka_dlt-original-timestamp-type': Buffer.from('CreateTime'),
      'kafka_dlt-original-consumer-group': Buffer.from('app.shop'),
      'kafka_dlt-exception-fqcn': Buffer.from('Error'),
      'kafka_dlt-exception-message': Buffer.from('busy'),
      'signalbox-route': Buffer.from('shop/r'),
      'signalbox-action': Buffer.from('1:broadcast'),
      'signalbox-attempts': Buffer.from('2'),
    })
  })

  it('names the type of the error that lies under the one it was given up for', async () => {
    const refused = action(
      () => {
        throw new Error('the shop is closed', { cause: new RangeError('out of hours') })
      },
      { retry: { ...steadyRetry, attempts: 1 } },
    )
    const plain = action(
      () => {
        throw new Error('the shop is closed', { cause: 'out of hours' })
      },
      { retry: { ...steadyRetry, attempts: 1 } },
    )
    const harness = new Harness(subscription([route('wrapped', [refused]), route('plain', [plain])]))
    harness.deliverRecords([record({ value: envelope('e', 1) })])
    await harness.clock.runOut()
    const causes = harness.letters.map(letter => [texts(letter)['signalbox-route'], texts(letter)['kafka_dlt-exception-cause-fqcn']])
    expect(Object.fromEntries(causes)).toEqual({ 'shop/wrapped': 'RangeError', 'shop/plain': undefined })
  })

  it('of a message that was replayed and failed again says why it failed this time', async () => {
    const headers = {
      'kafka_dlt-exception-message': Buffer.from('old'),
      'kafka_dlt-exception-cause-fqcn': Buffer.from('old'),
      'signalbox-action': Buffer.from('0:old'),
      own: Buffer.from('kept'),
    }
    const harness = new Harness(subscription([], { unmatched: { policy: 'dead-letter' } }))
    harness.deliverRecords([record({ value: envelope('nobody', 1), headers })])
    await harness.clock.settle()
    expect(texts(harness.letters[0])).toMatchObject({ own: 'kept', 'kafka_dlt-exception-message': 'no route names the event nobody' })
    expect(Object.keys(harness.letters[0]?.headers ?? {})).not.toContain('signalbox-action')
    expect(Object.keys(harness.letters[0]?.headers ?? {})).not.toContain('kafka_dlt-exception-cause-fqcn')
  })

  describe('that is too large for its topic', () => {
    const send = async (deadLetter: DeadLetterPolicy, key = 'k') => {
      const tried: DeadLetterRecord[] = []
      const harness = new Harness(subscription([route('r', [failing({ deadLetter })])]), {
        writeDeadLetter: async letter => {
          tried.push(letter)
          if (letter.value !== null) throw Object.assign(new Error('the record is too large'), { code: 'record-too-large' })
        },
      })
      harness.deliverRecords([record({ key, value: envelope('e', 1), headers: { own: Buffer.from('kept') } })])
      await harness.clock.advance(60_000)
      return { harness, tried }
    }

    it('is left out of one that says where the message lies, where the policy has it so', async () => {
      const { harness, tried } = await send({ kind: 'topic', topic: undefined, oversize: 'reference' })
      expect(harness.position()).toBe(1)
      const [whole, reference, ...more] = tried
      expect(more).toEqual([])
      expect(reference).toMatchObject({ topic: 'orders.dlq', key: whole?.key, value: null })
      expect(texts(reference)).toMatchObject({
        'kafka_dlt-original-topic': 'orders',
        'kafka_dlt-exception-message': 'busy',
        'signalbox-route': 'shop/r',
        'signalbox-reference': String(whole?.value?.length),
      })
      expect(Object.keys(reference?.headers ?? {})).not.toContain('own')
      expect(Object.keys(reference?.headers ?? {})).not.toContain('kafka_dlt-exception-stacktrace')
      expect(harness.processor.counters).toMatchObject({ deadLetterReferences: 1, deadLetterFailures: 0 })
    })

    it('has no key where that is large itself', async () => {
      const { tried } = await send({ kind: 'topic', topic: undefined, oversize: 'reference' }, 'k'.repeat(2_000))
      expect(tried.at(-1)?.key).toBeNull()
    })

    it('holds its partition otherwise', async () => {
      const { harness, tried } = await send({ kind: 'topic', topic: undefined })
      expect(harness.position()).toBe(0)
      expect(tried.every(({ value }) => value !== null)).toBe(true)
      expect(harness.processor.counters.deadLetterReferences).toBe(0)
    })
  })

  it('goes to the topic its policy names', async () => {
    const harness = new Harness(subscription([route('r', [failing({ deadLetter: { kind: 'topic', topic: 'shop.dead' } })])]))
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.letters[0]?.topic).toBe('shop.dead')
  })

  it.each([-1, 0, 2 ** 53, 2 ** 63, -(2 ** 63)])('takes any timestamp that Kafka takes: %d', async timestamp => {
    const harness = new Harness(subscription([route('r', [failing()])]))
    harness.deliverRecords([record({ value: envelope('e', 1), timestamp })])
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(1)
    expect(texts(harness.letters[0])['signalbox-route']).toBe('shop/r')
  })

  it('keeps the failure message short', async () => {
    const fail = () => {
      throw new Error('x'.repeat(100_000))
    }
    const harness = new Harness(subscription([route('r', [action(fail, { retry: { ...steadyRetry, attempts: 1 } })])]))
    harness.send('e')
    await harness.clock.runOut()
    const size = Object.values(harness.letters[0]?.headers ?? {}).reduce((sum, value) => sum + value.length, 0)
    expect(size).toBeLessThan(10_000)
  })
})

describe('a dead letter that cannot be written', () => {
  it('is tried again with growing waits, and the offset never passes it before it is written', async () => {
    let broken = true
    const written: DeadLetterRecord[] = []
    const writes: number[] = []
    const harness: Harness = new Harness(subscription([route('r', [failing()], { events: ['e'] })]), {
      writeDeadLetter: async letter => {
        writes.push(harness.clock.monotonic())
        if (broken) throw new Error('broker away')
        written.push(letter)
      },
    })
    harness.send('e', 1, 'a')
    harness.send('other', 1, 'b')
    await harness.clock.advance(120_000)
    expect(harness.position()).toBe(0)
    expect(harness.committed() ?? 0).toBe(0)
    // The action failed at 0 and 100 ms; from there the waits are half (the test's jitter) of 500 ms, doubled up to 30 s.
    expect(writes.slice(0, 9)).toEqual([100, 350, 850, 1850, 3850, 7850, 15850, 30850, 45850])
    expect(harness.processor.counters.deadLetterFailures).toBe(writes.length)
    broken = false
    await harness.clock.advance(30_000)
    expect(written.map(letter => texts(letter)['signalbox-route'])).toEqual(['shop/r'])
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(2)
  })

  it('holds up its key and no other', async () => {
    const done: unknown[] = []
    const bad = route('r', [
      action(
        ({ data }) => {
          if (data === 'bad') throw new Error('no')
          done.push(data)
        },
        { retry: { ...steadyRetry, attempts: 1 } },
      ),
    ])
    const harness = new Harness(subscription([bad]), { writeDeadLetter: () => Promise.reject(new Error('broker away')) })
    harness.send('e', 'bad', 'a')
    harness.send('e', 'same key', 'a')
    harness.send('e', 'other key', 'b')
    await harness.clock.advance(60_000)
    expect(done).toEqual(['other key'])
  })

  it('a write that never answers is given up after a minute and made again', async () => {
    const writes: number[] = []
    const harness: Harness = new Harness(subscription([route('r', [failing({ retry: { ...steadyRetry, attempts: 1 } })])]), {
      writeDeadLetter: () => {
        writes.push(harness.clock.monotonic())
        return writes.length === 1 ? new Promise(() => {}) : Promise.resolve()
      },
    })
    harness.send('e')
    await harness.clock.advance(60_000)
    expect(writes).toEqual([0])
    await harness.clock.advance(250)
    expect(writes).toEqual([0, 60_250])
    expect(harness.position()).toBe(1)
  })

  it('does not keep a partition from leaving', async () => {
    const harness = new Harness(subscription([route('r', [failing({ retry: { ...steadyRetry, attempts: 1 } })])]), {
      writeDeadLetter: () => Promise.reject(new Error('broker away')),
    })
    harness.send('e')
    await harness.clock.advance(10_000)
    const left = harness.processor.revoked([{ topic: 'orders', partition: 0 }], false)
    await harness.clock.settle()
    await left
    expect(harness.committed() ?? 0).toBe(0)
  })
})

describe('deadLetter: none', () => {
  it('with skip: the message is given up, counted, logged, and the next one runs', async () => {
    const harness = new Harness(subscription([route('r', [failing({ deadLetter: noDeadLetter })])]))
    harness.send('e')
    await harness.clock.runOut()
    expect(harness.letters).toEqual([])
    expect(harness.position()).toBe(1)
    expect(harness.processor.counters.route('shop/r')).toMatchObject({ failed: 1, done: 0 })
    expect(harness.logged('warn')).toEqual(['given up (onFailure: skip): busy'])
  })

  describe('with stop', () => {
    const done: unknown[] = []
    const stopping = (overrides: Partial<SubscriptionPlan> = {}) => {
      done.length = 0
      const run = action(
        ({ data }) => {
          if (data === 'bad') throw new Error('no')
          done.push(data)
        },
        { deadLetter: stopOnFailure, retry: { ...steadyRetry, attempts: 1 } },
      )
      return new Harness(subscription([route('r', [run])], overrides), { partitions: [0, 1] })
    }

    it('the partition stands at the message, is not fetched any more, and an alarm is raised', async () => {
      const harness = stopping()
      harness.send('e', 'good')
      harness.send('e', 'bad')
      await harness.clock.advance(1_000)
      expect(harness.position()).toBe(1)
      expect(harness.committed()).toBe(1)
      expect(harness.flow).toEqual(['pause orders/0'])
      expect(harness.logged('error')).toEqual(['partition stopped (onFailure: stop): no'])
      expect(harness.letters).toEqual([])
    })

    it('nothing more of the partition starts: not what came in the same delivery, not what comes after', async () => {
      const harness = stopping()
      harness.deliver(['good', 'bad', 'after'].map(data => ({ key: 'k', value: envelope('e', data) })))
      await harness.clock.settle()
      harness.send('e', 'later', 'other')
      await harness.clock.advance(1_000)
      expect(done).toEqual(['good'])
      expect(harness.position()).toBe(1)
    })

    it('messages waiting in lanes do not start either', async () => {
      const slow = held()
      const started: unknown[] = []
      const run = action(
        ({ data }) => {
          started.push(data)
          if (data === 'bad') throw new Error('no')
          return slow.promise
        },
        { deadLetter: stopOnFailure, retry: { ...steadyRetry, attempts: 1 } },
      )
      const harness = new Harness(subscription([route('r', [run])], { concurrency: 2 }))
      harness.deliver([
        { key: 'a', value: envelope('e', 'slow') },
        { key: 'a', value: envelope('e', 'waits for its key') },
        { key: 'b', value: envelope('e', 'bad') },
        { key: 'c', value: envelope('e', 'waits for a place') },
      ])
      await harness.clock.settle()
      slow.resolve(null)
      await harness.clock.advance(1_000)
      expect(started).toEqual(['slow', 'bad'])
      expect(harness.position()).toBe(1)
      expect(harness.processor.held.messages).toBe(0)
    })

    it('other partitions go on, even with one place to work in', async () => {
      const harness = stopping({ concurrency: 1 })
      harness.send('e', 'bad', null, 0)
      await harness.clock.settle()
      harness.send('e', 'good', null, 1)
      await harness.clock.settle()
      expect(done).toEqual(['good'])
      expect(harness.position(1)).toBe(1)
    })

    it('a new assignment of the partition tries again from the message', async () => {
      const harness = stopping()
      harness.send('e', 'bad')
      await harness.clock.settle()
      const left = harness.processor.revoked([{ topic: 'orders', partition: 0 }], false)
      await harness.clock.settle()
      await left
      harness.processor.assigned([{ topic: 'orders', partition: 0 }])
      harness.deliverRecords([record({ offset: 0, value: envelope('e', 'good') })])
      expect(done).toEqual(['good'])
      expect(harness.position()).toBe(1)
    })
  })
})

describe('messages that cannot run', () => {
  const policies: [string, DeadLetterPolicy, number][] = [
    ['a topic', { kind: 'topic', topic: undefined }, 1],
    ['skip', noDeadLetter, 0],
  ]

  it.each(policies)('that cannot be decoded go where the file says: %s', async (_name, deadLetter, letters) => {
    const harness = new Harness(subscription([route('r', [action(() => expect.unreachable())])], { deadLetter }))
    harness.deliver([{ value: 'not json' }, { value: 'neither' }])
    await harness.clock.settle()
    expect(harness.letters).toHaveLength(letters * 2)
    expect(harness.position()).toBe(2)
    expect(harness.processor.counters.undecodable).toBe(2)
    for (const letter of harness.letters) {
      expect(texts(letter)).toMatchObject({ 'kafka_dlt-exception-fqcn': 'not-json', 'signalbox-attempts': '1' })
      expect(Object.keys(letter.headers)).not.toContain('signalbox-route')
    }
    expect(harness.letters.map(letter => String(letter.value))).toEqual(['not json', 'neither'].slice(0, letters * 2))
  })

  it('that are too large are dead-lettered as they are, and smaller ones after a reload that says so', async () => {
    const done: unknown[] = []
    const plan = subscription([route('r', [action(({ data }) => done.push(data))])], { maxMessageBytes: 30 })
    const harness = new Harness(plan)
    const large = envelope('e', 'x'.repeat(50))
    harness.deliver([{ value: large }, { value: envelope('e', 1) }])
    await harness.clock.settle()
    expect(harness.letters.map(letter => [String(letter.value), texts(letter)['kafka_dlt-exception-fqcn']])).toEqual([[large, 'too-large']])
    expect([harness.processor.counters.undecodable, harness.position()]).toEqual([1, 2])
    harness.processor.swap({ ...plan, maxMessageBytes: 100 })
    harness.deliver([{ value: large }])
    await harness.clock.settle()
    expect(done).toEqual([1, 'x'.repeat(50)])
  })

  it('whose data fails a schema are dead-lettered for that route; the others run', async () => {
    const ran: string[] = []
    const schema = { file: 'schemas/order.json', check: (data: unknown) => (data === 5 ? null : 'data must be 5') }
    const strict = route('strict', [action(() => ran.push('strict'))], { schema, deadLetter: { kind: 'topic', topic: 'strict.dlq' } })
    const harness = new Harness(subscription([strict, route('loose', [action(() => ran.push('loose'))])]))
    harness.send('e', 4)
    harness.send('e', 5)
    await harness.clock.settle()
    expect(ran).toEqual(['loose', 'strict', 'loose'])
    expect(harness.letters).toHaveLength(1)
    expect(harness.letters[0]?.topic).toBe('strict.dlq')
    expect(texts(harness.letters[0])).toMatchObject({
      'signalbox-route': 'shop/strict',
      'kafka_dlt-exception-fqcn': 'invalid-data',
      'kafka_dlt-exception-message': 'data must be 5',
      'signalbox-attempts': '1',
    })
    expect(harness.position()).toBe(2)
  })

  it('whose data fails a schema stop the partition where the route says so', async () => {
    const schema = { file: 's.json', check: () => 'data is wrong' }
    const harness = new Harness(subscription([route('r', [action(() => null)], { schema, deadLetter: stopOnFailure })]))
    harness.send('e')
    await harness.clock.advance(1_000)
    expect(harness.position()).toBe(0)
    expect(harness.flow).toEqual(['pause orders/0'])
  })

  describe('that no route names', () => {
    const named = route('named', [action(() => null)], { events: ['named'] })

    it('are counted under ignore', () => {
      const harness = new Harness(subscription([named]))
      harness.send('stranger')
      harness.send('named')
      expect(harness.processor.counters.unmatched).toBe(1)
      expect(harness.position()).toBe(2)
      expect(harness.letters).toEqual([])
    })

    it('are dead-lettered under dead-letter', async () => {
      const harness = new Harness(subscription([named], { unmatched: { policy: 'dead-letter' } }))
      harness.send('stranger')
      harness.deliver([{ value: envelope(undefined, 1, 'a1') }])
      await harness.clock.settle()
      expect(harness.letters.map(letter => texts(letter)['kafka_dlt-exception-message'])).toEqual([
        'no route names the event stranger',
        'no route names the event (none)',
      ])
      expect(harness.position()).toBe(2)
    })

    it('run the actions given for them', async () => {
      const ran: unknown[] = []
      const unmatched = { policy: 'actions', route: route('unmatched', [action(({ event }) => ran.push(event))]) } as const
      const harness = new Harness(subscription([named], { unmatched }))
      harness.send('stranger')
      harness.send('named')
      expect(ran).toEqual(['stranger'])
    })
  })
})
