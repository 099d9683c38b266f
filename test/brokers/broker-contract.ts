import { afterEach, expect, test } from 'vitest'
import type { Broker, Consumer, OutgoingRecord } from '../../src/brokers/broker.ts'
import type { StartPosition, TopicSelector } from '../../src/compiler/plan.ts'
import { uniqueName } from '../kafka/kafka-address.ts'
import { keyOf, Receiver } from './receiver.ts'

export interface BrokerUnderTest {
  /** Another client of the same cluster. */
  open(): Broker
}

/** What every broker promises. Run inside a `describe` of each implementation. */
export function brokerContract({ open }: BrokerUnderTest): void {
  const brokers: Broker[] = []
  const receivers: Receiver[] = []

  afterEach(async () => {
    await Promise.all(brokers.splice(0).map(broker => broker.close()))
    expect(receivers.splice(0).flatMap(receiver => receiver.faults)).toEqual([])
  })

  function connect(): Broker {
    const broker = open()
    brokers.push(broker)
    return broker
  }

  async function consume(
    broker: Broker,
    group: string | undefined,
    topics: string | TopicSelector,
    from: StartPosition['kind'] | number = 'earliest',
  ) {
    const receiver = new Receiver()
    receivers.push(receiver)
    const consumer = await broker.consume(
      {
        group,
        topics: typeof topics === 'string' ? { names: [topics], patterns: [] } : topics,
        from: startOf(from),
        maxWaitMs: undefined,
      },
      receiver,
    )
    return { receiver, consumer }
  }

  async function topicOf(broker: Broker, partitions: number): Promise<string> {
    const topic = uniqueName('contract')
    await broker.createTopics([{ topic, partitions }])
    return topic
  }

  test('key, value, headers and time arrive as they were sent, null and binary included', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const bytes = Buffer.from([0, 255, 254, 10, 13])
    await broker.produce({
      topic,
      key: bytes,
      value: Buffer.concat([bytes, bytes]),
      headers: { plain: Buffer.from('é'), twice: [Buffer.from('a'), bytes], empty: Buffer.alloc(0) },
      timestamp: 1_700_000_000_123,
    })
    await broker.produce({ topic, key: Buffer.from('gone'), value: null, headers: {} })
    await broker.produce({ topic, key: null, value: Buffer.alloc(0), headers: {} })
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(3)
    const [first, tombstone, empty] = receiver.received
    expect(first).toMatchObject({ topic, partition: 0, offset: 0, timestamp: 1_700_000_000_123 })
    expect(first?.key).toEqual(bytes)
    expect(first?.value).toEqual(Buffer.concat([bytes, bytes]))
    expect({ ...first?.headers }).toEqual({ plain: Buffer.from('é'), twice: [Buffer.from('a'), bytes], empty: Buffer.alloc(0) })
    expect(tombstone).toMatchObject({ offset: 1, value: null })
    expect(tombstone?.key?.toString()).toBe('gone')
    expect(empty).toMatchObject({ offset: 2, key: null })
    expect(empty?.value).toEqual(Buffer.alloc(0))
  })

  test('a key lands in the partition where a Java client puts it', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 7)
    // Computed with org.apache.kafka.common.utils.Utils: toPositive(murmur2(key)) % 7.
    const expected = { '21': 3, foobar: 0, 'a-little-bit-long-string': 1, 'a-little-bit-longer-string': 0, abc: 4, '': 2 }
    for (const key of Object.keys(expected)) await broker.produce(record(topic, key, key))
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(6)
    expect(Object.fromEntries(receiver.received.map(({ key, partition }) => [String(key), partition]))).toEqual(expected)
  })

  test('an explicit partition wins over the key', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 3)
    for (const partition of [2, 0, 1]) await broker.produce({ ...record(topic, 'same', String(partition)), partition })
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(3)
    for (const { partition, value } of receiver.received) expect(String(value)).toBe(String(partition))
  })

  test('many produce calls at once keep the order of each key', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 4)
    const calls = Array.from({ length: 2_000 }, (_, index) => broker.produce(record(topic, `key-${index % 10}`, String(index))))
    await Promise.all(calls)
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(2_000)
    for (let key = 0; key < 10; key++) {
      const seen = receiver.received.filter(each => String(each.key) === `key-${key}`).map(({ value }) => Number(value))
      expect(seen).toEqual(Array.from({ length: 200 }, (_, index) => index * 10 + key))
    }
  })

  test('a group born at the latest sees what is sent from then on, also what is sent while it is away before its first commit', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    await broker.produce(record(topic, 'a', 'before'))
    const group = uniqueName('group')
    const born = await consume(broker, group, topic, 'latest')
    await born.receiver.owns(2)
    await broker.produce(record(topic, 'a', 'seen'))
    await born.receiver.has(1)
    await born.consumer.stop()
    await broker.produce(record(topic, 'b', 'while away'))
    const back = await consume(broker, group, topic, 'latest')
    await back.receiver.has(2)
    expect(born.receiver.values).toEqual(['seen'])
    expect([...back.receiver.values].sort()).toEqual(['seen', 'while away'])
  })

  test('a group born at a time sees what is as old as that or newer', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    for (const [value, timestamp] of [
      ['old', 1_000_000],
      ['exact', 2_000_000],
      ['new', 3_000_000],
    ] as const)
      await broker.produce({ ...record(topic, null, value), timestamp })
    const { receiver } = await consume(broker, uniqueName('group'), topic, 2_000_000)
    await receiver.has(2)
    expect(receiver.values).toEqual(['exact', 'new'])
    const later = await consume(broker, uniqueName('group'), topic, 4_000_000)
    await later.receiver.owns(1)
    await broker.produce({ ...record(topic, null, 'newest'), timestamp: 5_000_000 })
    await later.receiver.has(1)
    expect(later.receiver.values).toEqual(['newest'])
  })

  test('the start position is for the birth only: committed offsets win', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    for (const value of ['0', '1', '2', '3', '4']) await broker.produce(record(topic, null, value))
    const group = uniqueName('group')
    const first = await consume(broker, group, topic, 'earliest')
    await first.receiver.has(5)
    await first.consumer.commit([
      { topic, partition: 0, offset: 3 },
      { topic: uniqueName('not-ours'), partition: 9, offset: 1 },
    ])
    expect(await broker.committedOffsets(group, [topic])).toEqual([{ topic, partition: 0, offset: 3 }])
    await first.consumer.stop()
    const second = await consume(broker, group, topic, 'latest')
    await second.receiver.has(2)
    expect(second.receiver.values).toEqual(['3', '4'])
  })

  test('what is committed beside an offset comes with the partition when it is assigned next, until the next commit', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    for (const value of ['0', '1', '2']) await broker.produce({ ...record(topic, null, value), partition: 0 })
    const group = uniqueName('group')
    const comes = async () => {
      const { receiver, consumer } = await consume(broker, group, topic)
      await receiver.owns(2)
      const [first, second] = [0, 1].map(partition => receiver.committed.get(keyOf({ topic, partition })))
      return { consumer, first, second }
    }
    const one = await comes()
    expect(one.first).toEqual({ topic, partition: 0, offset: 0 })
    const metadata = 'é'.padEnd(4_000, '~')
    await one.consumer.commit([{ topic, partition: 0, offset: 1, metadata }])
    await one.consumer.commit([{ topic, partition: 1, offset: 0, metadata: 'of the other' }])
    await one.consumer.stop()
    const two = await comes()
    expect(two.first).toEqual({ topic, partition: 0, offset: 1, metadata })
    expect(two.second).toEqual({ topic, partition: 1, offset: 0, metadata: 'of the other' })
    await two.consumer.commit([{ topic, partition: 0, offset: 1 }])
    await two.consumer.stop()
    const three = await comes()
    expect(three.first).toEqual({ topic, partition: 0, offset: 1 })
    await three.consumer.stop()
    await broker.setOffsets(group, [{ topic, partition: 1, offset: 0 }])
    expect((await comes()).second).toEqual({ topic, partition: 1, offset: 0 })
  })

  test('more beside an offset than it takes is refused, and nothing is committed', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const group = uniqueName('group')
    const { receiver, consumer } = await consume(broker, group, topic)
    await receiver.owns(1)
    const commit = consumer.commit([{ topic, partition: 0, offset: 5, metadata: '~'.repeat(5_000) }])
    await expect(commit).rejects.toMatchObject({ name: 'BrokerError', code: 'metadata-too-large' })
    expect(await broker.committedOffsets(group, [topic])).toEqual([{ topic, partition: 0, offset: 0 }])
  })

  test('two members share the partitions, and the one that stays takes over from the one that leaves', async () => {
    const broker = connect()
    const other = connect()
    const topic = await topicOf(broker, 4)
    const group = uniqueName('group')
    const a = await consume(broker, group, topic)
    await a.receiver.owns(4)
    const b = await consume(other, group, topic)
    await b.receiver.owns(2)
    await a.receiver.owns(2)
    expect(new Set([...a.receiver.owned, ...b.receiver.owned]).size).toBe(4)
    for (let partition = 0; partition < 4; partition++) await broker.produce({ ...record(topic, null, `p${partition}`), partition })
    await a.receiver.has(2)
    await b.receiver.has(2)
    await b.consumer.stop()
    await a.receiver.owns(4)
    expect(b.receiver.owned.size).toBe(0)
  })

  test('partitions do not move for nothing when a member comes and goes', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 6)
    const group = uniqueName('group')
    const a = await consume(broker, group, topic)
    await a.receiver.owns(6)
    const b = await consume(connect(), group, topic)
    await b.receiver.owns(3)
    await a.receiver.owns(3)
    const before = [new Set(a.receiver.owned), new Set(b.receiver.owned)]
    const c = await consume(connect(), group, topic)
    await c.receiver.owns(2)
    await a.receiver.owns(2)
    await b.receiver.owns(2)
    for (const partition of a.receiver.owned) expect(before[0]).toContain(partition)
    for (const partition of b.receiver.owned) expect(before[1]).toContain(partition)
  })

  test('a move waits for the drain, and what is committed in it is not delivered again', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    for (let index = 0; index < 20; index++) await broker.produce({ ...record(topic, null, String(index)), partition: index % 2 })
    const group = uniqueName('group')
    const a = await consume(broker, group, topic)
    await a.receiver.has(20)
    const order: string[] = []
    a.receiver.onRevoked = async (partitions, lost) => {
      expect(lost).toBe(false)
      order.push('draining')
      await new Promise(resolve => setImmediate(resolve))
      await a.consumer.commit(partitions.map(partition => ({ ...partition, offset: 10 })))
      order.push('drained')
    }
    const receiver = new Receiver()
    receivers.push(receiver)
    receiver.onAssigned = () => order.push('handed over')
    await connect().consume({ group, topics: { names: [topic], patterns: [] }, from: { kind: 'earliest' }, maxWaitMs: undefined }, receiver)
    await receiver.owns(1)
    await a.receiver.owns(1)
    for (const partition of [0, 1]) await broker.produce({ ...record(topic, null, `last ${partition}`), partition })
    await receiver.has(1)
    await a.receiver.has(21)
    expect(order.slice(0, 3)).toEqual(['draining', 'drained', 'handed over'])
    expect([...receiver.values, ...a.receiver.values.slice(20)].sort()).toEqual(['last 0', 'last 1'])
  })

  test('stopping drains, commits and leaves; nothing arrives afterwards', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    for (const value of ['0', '1', '2']) await broker.produce(record(topic, null, value))
    const group = uniqueName('group')
    const a = await consume(broker, group, topic)
    await a.receiver.has(3)
    a.receiver.onRevoked = async partitions => {
      await broker.produce(record(topic, null, '3'))
      await a.consumer.commit(partitions.map(partition => ({ ...partition, offset: 2 })))
    }
    await Promise.all([a.consumer.stop(), a.consumer.stop()])
    expect(a.receiver.revocations).toEqual([{ partitions: [{ topic, partition: 0 }], lost: false }])
    const b = await consume(broker, group, topic)
    await b.receiver.has(2)
    expect(b.receiver.values).toEqual(['2', '3'])
    expect(a.receiver.values).toEqual(['0', '1', '2'])
  })

  test('a paused partition is silent while others deliver, and goes on where it was when resumed', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    const group = uniqueName('group')
    const a = await consume(broker, group, topic)
    await a.receiver.owns(2)
    await broker.produce({ ...record(topic, null, 'first'), partition: 0 })
    await a.receiver.has(1)
    a.consumer.pause([{ topic, partition: 0 }])
    for (let index = 0; index < 5; index++) {
      await broker.produce({ ...record(topic, null, `held ${index}`), partition: 0 })
      await broker.produce({ ...record(topic, null, `passed ${index}`), partition: 1 })
    }
    await a.receiver.has(6)
    expect(a.receiver.values.filter(value => value?.startsWith('held'))).toEqual([])
    a.consumer.resume([{ topic, partition: 0 }])
    await a.receiver.has(11)
    expect(a.receiver.values.slice(6)).toEqual([0, 1, 2, 3, 4].map(index => `held ${index}`))
    a.consumer.pause([
      { topic, partition: 0 },
      { topic, partition: 1 },
    ])
    a.consumer.resume([{ topic, partition: 1 }])
    await broker.produce({ ...record(topic, null, 'on one leg'), partition: 1 })
    await a.receiver.has(12)
    a.consumer.resume([{ topic, partition: 0 }])
    await broker.produce({ ...record(topic, null, 'on both'), partition: 0 })
    await a.receiver.has(13)
  })

  test('pausing inside a delivery holds everything after that delivery', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const a = await consume(broker, uniqueName('group'), topic, 'earliest')
    await a.receiver.owns(1)
    let released = false
    let early = 0
    a.receiver.onRecords = () => {
      if (!released && a.receiver.received.length > 0) early++
      a.consumer.pause([{ topic, partition: 0 }])
    }
    await Promise.all(Array.from({ length: 50 }, (_, index) => broker.produce(record(topic, null, String(index)))))
    await a.receiver.has(1)
    const held = a.receiver.received.length
    await broker.produce(record(topic, null, 'after'))
    released = true
    a.receiver.onRecords = () => {}
    a.consumer.resume([{ topic, partition: 0 }])
    await a.receiver.has(51)
    expect(early).toBe(0)
    expect(held).toBeLessThanOrEqual(50)
    expect(a.receiver.values.at(-1)).toBe('after')
  })

  test('a delivery says where the partition ends', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    for (let index = 0; index < 10; index++) await broker.produce(record(topic, null, String(index)))
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(10)
    const last = receiver.deliveries.at(-1)
    expect(last).toMatchObject({ topic, partition: 0, nextOffset: 10, highWatermark: 10 })
  })

  test('offsets are set from outside only while nobody reads in the group', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    for (const value of ['0', '1', '2']) await broker.produce(record(topic, null, value))
    const group = uniqueName('group')
    const first = await consume(broker, group, topic, 'latest')
    await first.receiver.owns(1)
    await expect(broker.setOffsets(group, [{ topic, partition: 0, offset: 1 }])).rejects.toMatchObject({ code: 'group-active' })
    await first.consumer.stop()
    await broker.setOffsets(group, [{ topic, partition: 0, offset: 1 }])
    expect(await broker.committedOffsets(group, [topic])).toEqual([{ topic, partition: 0, offset: 1 }])
    const second = await consume(broker, group, topic)
    await second.receiver.has(2)
    expect(second.receiver.values).toEqual(['1', '2'])
  })

  test('an optional topic is missing without anybody noticing, and read from its first record once it is there', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const optional = uniqueName('optional')
    const { receiver } = await consume(broker, uniqueName('group'), { names: [topic], patterns: [], optional: [optional] }, 'latest')
    await receiver.owns(1)
    expect(receiver.statuses.filter(({ kind }) => kind !== 'joined')).toEqual([])
    await broker.createTopics([{ topic: optional, partitions: 1 }])
    await broker.produce(record(optional, null, 'back'))
    await receiver.has(1)
    expect(receiver.received).toMatchObject([{ topic: optional, offset: 0 }])
  })

  test('whether a topic can be made is asked without making it', async () => {
    const broker = connect()
    const topic = uniqueName('creatable')
    await broker.assertCreatable([{ topic, partitions: 2 }])
    expect(await broker.listTopics()).not.toContain(topic)
    await broker.createTopics([{ topic, partitions: 2 }])
    await broker.assertCreatable([{ topic, partitions: 2 }])
    await expect(broker.assertCreatable([{ topic: 'no name', partitions: 2 }])).rejects.toMatchObject({ code: 'invalid-topic' })
  })

  test('a pattern takes the topics that match, and new ones from their first record', async () => {
    const broker = connect()
    const prefix = uniqueName('pattern')
    await broker.createTopics([
      { topic: `${prefix}.orders`, partitions: 1 },
      { topic: `other-${prefix}`, partitions: 1 },
    ])
    const pattern = { source: `^${prefix}\\.`, matches: (topic: string) => topic.startsWith(`${prefix}.`) }
    const { receiver } = await consume(broker, uniqueName('group'), { names: [], patterns: [pattern] }, 'latest')
    await receiver.owns(1)
    await broker.produce(record(`other-${prefix}`, null, 'not ours'))
    await broker.produce(record(`${prefix}.orders`, null, 'known'))
    await broker.createTopics([{ topic: `${prefix}.payments`, partitions: 1 }])
    await broker.produce(record(`${prefix}.payments`, null, 'new'))
    await receiver.until('the new topic has arrived', () => receiver.values.includes('new'))
    expect(new Set(receiver.values)).toEqual(new Set(['known', 'new']))
  })

  test('a topic that does not exist yet is waited for and read from its first record', async () => {
    const broker = connect()
    const existing = await topicOf(broker, 1)
    const missing = uniqueName('missing')
    const { receiver } = await consume(broker, uniqueName('group'), { names: [existing, missing], patterns: [] }, 'latest')
    await receiver.owns(1)
    expect(await broker.listTopics()).not.toContain(missing)
    await broker.createTopics([{ topic: missing, partitions: 2 }])
    await broker.produce(record(missing, null, 'first'))
    await receiver.has(1)
    await receiver.owns(3)
    expect(receiver.values).toContain('first')
  })

  test('a member is told whether its group has others', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    const group = uniqueName('group')
    const companyOf = ({ statuses }: Receiver) => statuses.findLast(status => status.kind === 'joined')?.hasCompany
    const first = await consume(broker, group, topic)
    await first.receiver.joined()
    expect(companyOf(first.receiver)).toBe(false)
    const second = await consume(connect(), group, topic)
    await second.receiver.joined()
    expect(companyOf(second.receiver)).toBe(true)
    await expect.poll(() => companyOf(first.receiver)).toBe(true)
    await second.consumer.stop()
    await expect.poll(() => companyOf(first.receiver)).toBe(false)
  })

  test('a consumer whose only topic is missing joins with nothing to do', async () => {
    const broker = connect()
    const topic = uniqueName('missing')
    const { receiver } = await consume(broker, uniqueName('group'), topic, 'latest')
    await receiver.joined()
    expect(receiver.statuses).toContainEqual({ kind: 'joined', partitions: 0, hasCompany: false })
    await broker.produce(record(topic, null, 'first'))
    await receiver.has(1)
    expect(receiver.values).toEqual(['first'])
  })

  test('topics, offsets and commits can be looked up', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    await broker.createTopics([{ topic, partitions: 5 }])
    await broker.produce({ ...record(topic, null, 'x'), partition: 1 })
    expect(await broker.listTopics()).toContain(topic)
    expect((await broker.listTopics()).filter(name => name.startsWith('__'))).toEqual([])
    expect(await broker.topicOffsets(topic)).toEqual([
      { partition: 0, low: 0, high: 0 },
      { partition: 1, low: 0, high: 1 },
    ])
    expect(await broker.topicOffsets(uniqueName('missing'))).toEqual([])
    expect(await broker.committedOffsets(uniqueName('group'), [topic, uniqueName('missing')])).toEqual([])
  })

  test('a record that cannot be written says why, and its neighbours are written', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const outcomes = await Promise.allSettled([
      broker.produce(record(topic, null, 'before')),
      broker.produce({ topic, key: null, value: Buffer.alloc(2 * 1024 * 1024), headers: {} }),
      broker.produce(record('no such name!', null, 'x')),
      broker.produce({ ...record(topic, null, 'x'), partition: 7 }),
      broker.produce(record(topic, null, 'after')),
    ])
    const codes = outcomes.map(outcome => (outcome.status === 'rejected' ? [outcome.reason.name, outcome.reason.code] : 'written'))
    expect(codes).toEqual([
      'written',
      ['BrokerError', 'record-too-large'],
      ['BrokerError', 'invalid-topic'],
      ['BrokerError', 'failed'],
      'written',
    ])
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.has(2)
    expect(receiver.values).toEqual(['before', 'after'])
  })

  test('readers without a group get everything each, from their start on every time, and leave nothing behind', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    const send = (value: string) => broker.produce(record(topic, value, value))
    await send('before')
    const early = await consume(broker, undefined, topic, 'earliest')
    const late = await consume(broker, undefined, topic, 'latest')
    await Promise.all([early, late].map(({ receiver }) => receiver.owns(2)))
    await send('after')
    await early.receiver.has(2)
    await late.receiver.has(1)
    expect([...early.receiver.values].sort()).toEqual(['after', 'before'])
    expect(late.receiver.values).toEqual(['after'])
    await early.consumer.commit([0, 1].map(partition => ({ topic, partition, offset: 1 })))
    await early.consumer.stop()
    const again = await consume(broker, undefined, topic, 'earliest')
    await again.receiver.has(2)
  })

  test('a reader without a group picks up a topic that appears later, from its first record', async () => {
    const broker = connect()
    const first = await topicOf(broker, 1)
    const second = uniqueName('contract')
    const { receiver, consumer } = await consume(broker, undefined, { names: [first, second], patterns: [] }, 'latest')
    await receiver.owns(1)
    await broker.produce(record(first, null, 'one'))
    await receiver.has(1)
    await consumer.commit([{ topic: first, partition: 0, offset: 1 }])
    await broker.createTopics([{ topic: second, partitions: 1 }])
    await broker.produce(record(second, null, 'two'))
    await receiver.has(2)
    expect(receiver.values).toEqual(['one', 'two'])
  })

  test('a reader without a group starts where it is told to, or at a time', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 2)
    for (const [partition, value, timestamp] of [
      [0, 'a', 1_000],
      [0, 'b', 2_000],
      [0, 'c', 3_000],
      [1, 'd', 1_000],
      [1, 'e', 1_500],
    ] as const)
      await broker.produce({ topic, partition, key: null, value: Buffer.from(value), headers: {}, timestamp })
    const startAt = [0, 1].map(partition => ({ topic, partition, offset: 1 }))
    const receiver = new Receiver()
    receivers.push(receiver)
    await broker.consume(
      { group: undefined, topics: { names: [topic], patterns: [] }, from: { kind: 'latest' }, startAt, maxWaitMs: undefined },
      receiver,
    )
    await receiver.has(3)
    expect([...receiver.values].sort()).toEqual(['b', 'c', 'e'])
    expect(await broker.offsetsSince(topic, 2_000)).toEqual([
      { partition: 0, offset: 1 },
      { partition: 1, offset: 2 },
    ])
  })

  test('a closed broker has stopped its consumers and refuses work', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const { receiver } = await consume(broker, uniqueName('group'), topic)
    await receiver.owns(1)
    receiver.onRevoked = () => broker.produce(record(topic, null, 'written while draining'))
    await broker.close()
    await broker.close()
    expect(receiver.revocations.map(({ partitions }) => partitions.map(keyOf))).toEqual([[`${topic}/0`]])
    await expect(broker.produce(record(topic, null, 'x'))).rejects.toMatchObject({ name: 'BrokerError', code: 'closed' })
    await expect(consume(broker, uniqueName('group'), topic)).rejects.toMatchObject({ name: 'BrokerError', code: 'closed' })
  })

  test('several members that are born together lose nothing that is sent once the first has joined', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 8)
    const group = uniqueName('group')
    await broker.produce(record(topic, 'old', 'old'))
    const members = await Promise.all(Array.from({ length: 4 }, () => consume(connect(), group, topic, 'latest')))
    await Promise.race(members.map(({ receiver }) => receiver.joined()))
    const sent = Array.from({ length: 80 }, (_, index) => String(index))
    for (const value of sent) await broker.produce({ ...record(topic, null, value), partition: Number(value) % 8 })
    await Promise.all(members.map(({ receiver }) => receiver.owns(2)))
    const seen = () => new Set(members.flatMap(({ receiver }) => receiver.values))
    await Promise.any(members.map(({ receiver }) => receiver.until('all have seen everything', () => seen().size >= 80)))
    expect([...seen()].sort()).toEqual([...sent].sort())
    expect(await broker.committedOffsets(group, [topic])).toHaveLength(8)
  })

  test('stopping before the first assignment is harmless', async () => {
    const broker = connect()
    const topic = await topicOf(broker, 1)
    const group = uniqueName('group')
    const { consumer }: { consumer: Consumer } = await consume(broker, group, topic)
    await consumer.stop()
    const next = await consume(broker, group, topic)
    await next.receiver.owns(1)
  })
}

function record(topic: string, key: string | null, value: string): OutgoingRecord {
  return { topic, key: key === null ? null : Buffer.from(key), value: Buffer.from(value), headers: {} }
}

function startOf(from: StartPosition['kind'] | number): StartPosition {
  if (typeof from === 'number') return { kind: 'timestamp', timestamp: from }
  return from === 'timestamp' ? { kind: 'timestamp', timestamp: 0 } : { kind: from }
}
