import { setTimeout as sleep } from 'node:timers/promises'
import { compress as compressZstd, init as initZstd } from '@bokuweb/zstd-wasm'
import { type Admin, CompressionCodecs, CompressionTypes } from 'kafkajs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Broker } from '../../src/brokers/broker.ts'
import { registerCodecs } from '../../src/brokers/kafka/codecs.ts'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import type { ConsumerProperties } from '../../src/config/router-config.ts'
import { createTopics } from '../kafka/create-topics.mjs'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { brokerContract } from './broker-contract.ts'
import { Receiver } from './receiver.ts'
import { removeMembers } from './remove-members.ts'

const QUICK: ConsumerProperties = { 'heartbeat.interval.ms': 100, 'session.timeout.ms': 6_000 }

/** Longer than a test's patience: whatever waits for a fetch to end by itself fails. */
const LONG_WAIT_MS = 28_000

function open(consumer: ConsumerProperties = QUICK): KafkaBroker {
  return new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer }, { clientId: 'signalbox-test', topicRefreshMs: 300 })
}

describeWithKafka('the Kafka broker', () => {
  brokerContract({ open })
})

describeWithKafka('what only Kafka has', () => {
  const kafka = kafkaClient()
  const brokers: Broker[] = []
  let admin: Admin

  beforeAll(async () => {
    await initZstd()
    admin = kafka.admin()
    await admin.connect()
  })
  afterAll(() => admin.disconnect())
  afterEach(async () => {
    await Promise.all(brokers.splice(0).map(broker => broker.close()))
  })

  function connect(consumer?: ConsumerProperties): KafkaBroker {
    const broker = open(consumer)
    brokers.push(broker)
    return broker
  }

  async function topicOf(partitions: number): Promise<string> {
    const topic = uniqueName('kafka')
    await createTopics(admin, [{ topic, numPartitions: partitions }])
    return topic
  }

  async function consume(
    broker: Broker,
    topic: string,
    { group = uniqueName('group'), maxWaitMs }: { group?: string; maxWaitMs?: number } = {},
  ) {
    const receiver = new Receiver()
    const options = { group, topics: { names: [topic], patterns: [] }, from: { kind: 'earliest' }, maxWaitMs } as const
    return { group, receiver, consumer: await broker.consume(options, receiver) }
  }

  function send(broker: Broker, topic: string, value: string, partition = 0): Promise<void> {
    return broker.produce({ topic, partition, key: null, value: Buffer.from(value), headers: {} })
  }

  test.each([
    ['gzip', CompressionTypes.GZIP],
    ['snappy', CompressionTypes.Snappy],
    ['lz4', CompressionTypes.LZ4],
    ['zstd', CompressionTypes.ZSTD],
  ] as const)('records compressed with %s are read', async (_, compression) => {
    const topic = await topicOf(1)
    const values = Array.from({ length: 200 }, (_, index) => `value ${index} `.repeat(50))
    registerCodecs()
    CompressionCodecs[CompressionTypes.ZSTD] = () => ({
      compress: async (encoder: { readonly buffer: Buffer }) => Buffer.from(compressZstd(encoder.buffer, 3)),
    })
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({ topic, compression, messages: values.map(value => ({ value })) })
    await producer.disconnect()
    const { receiver } = await consume(connect(), topic)
    await receiver.has(200)
    expect(receiver.values).toEqual(values)
  })

  test.each(['CreateTime', 'LogAppendTime'] as const)('a record says whose timestamp it has: %s', async type => {
    const topic = uniqueName('kafka')
    await createTopics(admin, [{ topic, numPartitions: 1, configEntries: [{ name: 'message.timestamp.type', value: type }] }])
    const broker = connect()
    await broker.produce({ topic, partition: 0, key: null, value: Buffer.from('x'), headers: {}, timestamp: 1_700_000_000_000 })
    const { receiver } = await consume(broker, topic)
    await receiver.has(1)
    const [record] = receiver.received
    expect(record?.timestampType).toBe(type)
    expect(record?.timestamp === 1_700_000_000_000).toBe(type === 'CreateTime')
  })

  test('a record that is too large for its topic is refused, and all that traveled with it is written once', async () => {
    const topic = uniqueName('kafka')
    const configEntries = [{ name: 'max.message.bytes', value: '2000' }]
    await createTopics(admin, [{ topic, numPartitions: 4, configEntries }])
    const broker = connect()
    const values = Array.from({ length: 41 }, (_, index) => (index === 20 ? 'x'.repeat(5_000) : String(index)))
    const outcomes = await Promise.allSettled(values.map((value, index) => send(broker, topic, value, index % 4)))
    expect(outcomes.map(({ status }) => status)).toEqual(values.map((_, index) => (index === 20 ? 'rejected' : 'fulfilled')))
    const ends = await broker.topicOffsets(topic)
    expect(ends.map(({ high }) => high)).toEqual([10, 10, 10, 10])
  })

  test('what a transaction took back is not read, and its marks leave no gap in the offsets', async () => {
    const topic = await topicOf(1)
    const producer = kafka.producer({ transactionalId: uniqueName('transaction'), idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (const [value, outcome] of [
      ['kept 1', 'commit'],
      ['taken back', 'abort'],
      ['kept 2', 'commit'],
    ] as const) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value }] })
      await transaction[outcome]()
    }
    await producer.disconnect()
    const { receiver } = await consume(connect(), topic)
    await receiver.until('it is at the end', () => receiver.deliveries.at(-1)?.nextOffset === 6)
    expect(receiver.values).toEqual(['kept 1', 'kept 2'])
    const uncommitted = await consume(connect({ ...QUICK, 'isolation.level': 'read_uncommitted' }), topic)
    await uncommitted.receiver.has(3)
    expect(uncommitted.receiver.values).toEqual(['kept 1', 'taken back', 'kept 2'])
  })

  test('an offset the broker no longer has is replaced by the earliest it has, and that is said', async () => {
    const topic = await topicOf(2)
    const broker = connect()
    for (let index = 0; index < 10; index++) await send(broker, topic, String(index), 0)
    const first = await consume(broker, topic)
    await first.receiver.has(10)
    await first.consumer.commit([{ topic, partition: 0, offset: 2 }])
    await first.consumer.stop()
    // kafkajs's admin knows the leaders of a topic only once it was asked for its offsets.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '7' }] })
    const second = await consume(broker, topic, { group: first.group })
    await second.receiver.has(3)
    expect(second.receiver.values).toEqual(['7', '8', '9'])
    expect(second.receiver.statuses).toContainEqual({ kind: 'offset-out-of-range', topic, partition: 0, resetTo: 7 })
  })

  test('a member the group has dropped loses its partitions at once, may not commit, and joins again', async () => {
    const topic = await topicOf(1)
    const broker = connect()
    await send(broker, topic, 'x')
    const { receiver, consumer, group } = await consume(broker, topic)
    await receiver.has(1)
    receiver.onRevoked = () => consumer.commit([{ topic, partition: 0, offset: 1 }])
    await removeMembers(kafka, group)
    await receiver.until('it has the record again', () => receiver.received.length === 2)
    expect(receiver.revocations).toEqual([{ partitions: [{ topic, partition: 0 }], lost: true }])
    expect(receiver.statuses.filter(({ kind }) => kind === 'warning')).toEqual([])
    expect(await broker.committedOffsets(group, [topic])).toEqual([{ topic, partition: 0, offset: 0 }])
  })

  test('a drain longer than the session keeps the session, and its commit counts', async () => {
    const topic = await topicOf(2)
    const properties = { 'session.timeout.ms': 1_500, 'heartbeat.interval.ms': 100 }
    const a = await consume(connect(properties), topic)
    await a.receiver.owns(2)
    a.receiver.onRevoked = async partitions => {
      await sleep(2_500)
      await a.consumer.commit(partitions.map(partition => ({ ...partition, offset: 0 })))
    }
    const b = await consume(connect(properties), topic, { group: a.group })
    await b.receiver.owns(1)
    await a.receiver.owns(1)
    expect(a.receiver.revocations).toMatchObject([{ lost: false }])
    // A commit that is refused would fail the drain, and that would be said.
    expect(a.receiver.statuses.filter(({ kind }) => kind === 'warning')).toEqual([])
  })

  test('a resumed partition does not wait for the fetch of a quiet topic to end', async () => {
    const topic = await topicOf(2)
    const broker = connect()
    const { receiver, consumer } = await consume(broker, topic, { maxWaitMs: LONG_WAIT_MS })
    await receiver.owns(2)
    consumer.pause([{ topic, partition: 0 }])
    await send(broker, topic, 'held', 0)
    await send(broker, topic, 'passed', 1)
    await receiver.has(1)
    consumer.resume([{ topic, partition: 0 }])
    await receiver.has(2)
    await send(broker, topic, 'next', 0)
    await receiver.has(3)
    expect(receiver.values).toEqual(['passed', 'held', 'next'])
  })

  test('a rebalance does not wait for the fetch of a quiet topic to end', async () => {
    const topic = await topicOf(2)
    const broker = connect()
    const a = await consume(broker, topic, { maxWaitMs: LONG_WAIT_MS })
    await a.receiver.owns(2)
    const b = await consume(connect(), topic, { group: a.group, maxWaitMs: LONG_WAIT_MS })
    await b.receiver.owns(1)
    await a.receiver.owns(1)
    for (const partition of [0, 1]) await send(broker, topic, String(partition), partition)
    await a.receiver.has(1)
    await b.receiver.has(1)
    await b.consumer.stop()
    await a.receiver.owns(2)
    for (const partition of [0, 1]) await send(broker, topic, `again ${partition}`, partition)
    await a.receiver.until('it reads both', () => a.receiver.values.filter(value => value?.startsWith('again')).length === 2)
  })

  test('new partitions of a topic are found and read from their first record', async () => {
    const topic = await topicOf(1)
    const broker = connect()
    const { receiver } = await consume(broker, topic)
    await receiver.owns(1)
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    const writer = connect()
    for (const partition of [1, 2]) await send(writer, topic, `in ${partition}`, partition)
    await receiver.owns(3)
    await receiver.has(2)
    expect([...receiver.values].sort()).toEqual(['in 1', 'in 2'])
  })

  test('a deleted topic does not hold up the others, and is read again when it is back', async () => {
    const kept = await topicOf(1)
    const deleted = await topicOf(1)
    const broker = connect()
    const receiver = new Receiver()
    await broker.consume(
      { group: uniqueName('group'), topics: { names: [kept, deleted], patterns: [] }, from: { kind: 'earliest' }, maxWaitMs: undefined },
      receiver,
    )
    await receiver.owns(2)
    await admin.deleteTopics({ topics: [deleted] })
    await receiver.owns(1)
    await send(broker, kept, 'still here')
    await receiver.has(1)
    expect(receiver.statuses).toContainEqual({ kind: 'warning', message: `topic "${deleted}" does not exist yet: waiting for it` })
    await createTopics(admin, [{ topic: deleted, numPartitions: 1 }])
    await send(connect(), deleted, 'back')
    await receiver.until('it reads the topic', () => receiver.values.includes('back'))
    expect(new Set(receiver.values)).toEqual(new Set(['still here', 'back']))
  })

  test('compaction gaps are stepped over', async () => {
    const topic = uniqueName('compacted')
    const settings = {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.01',
      'max.compaction.lag.ms': '100',
    }
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
    await createTopics(admin, [{ topic, numPartitions: 1, configEntries }])
    const broker = connect()
    const write = (key: string, value: string) => broker.produce({ topic, key: Buffer.from(key), value: Buffer.from(value), headers: {} })
    for (let index = 0; index < 20; index++) await write('same', String(index))
    // The cleaner leaves the active segment alone: each new record closes the one before.
    let values: readonly (string | null)[] = []
    for (let round = 0; values.length === 0 || values.includes('5'); round++) {
      await sleep(200)
      await write(`round ${round}`, 'rolls the segment')
      const { receiver, consumer } = await consume(broker, topic)
      await receiver.until('it is at the end', () => receiver.deliveries.at(-1)?.nextOffset === 21 + round)
      await consumer.stop()
      values = receiver.values
    }
    expect(values).toContain('19')
  })
})
