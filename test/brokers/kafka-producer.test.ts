import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { OutgoingRecord } from '../../src/brokers/broker.ts'
import { KafkaProducer } from '../../src/brokers/kafka/kafka-producer.ts'
import { FakeCluster } from './fake-cluster.ts'

describe('the Kafka producer', () => {
  const producers: KafkaProducer[] = []

  afterEach(async () => {
    await Promise.all(producers.splice(0).map(producer => producer.close()))
  })

  function open(cluster: FakeCluster): KafkaProducer {
    const producer = new KafkaProducer(brokers => cluster.link(brokers?.[0]), { brokers: ['any:9092'] })
    producers.push(producer)
    return producer
  }

  function record(topic: string, value: string, partition = 0): OutgoingRecord {
    return { topic, partition, key: null, value: Buffer.from(value), headers: {} }
  }

  test('records of many topics and partitions travel in one request', async () => {
    const cluster = new FakeCluster({ orders: [1, 1, 1], audit: [1], mails: [1] })
    const producer = open(cluster)
    const all = ['orders', 'audit', 'mails'].flatMap(topic => Array.from({ length: 50 }, (_, index) => record(topic, String(index))))
    await Promise.all(all.map(each => producer.produce(each)))
    expect(cluster.requests).toBe(1)
    expect(cluster.asked).toEqual([['audit', 'mails', 'orders']])
    expect(cluster.values('audit', 0)).toHaveLength(50)
  })

  test('what comes while a request is under way travels together in the next one', async () => {
    const cluster = new FakeCluster({ orders: [1], audit: [1] })
    const producer = open(cluster)
    const release = cluster.hold(1)
    const first = producer.produce(record('orders', 'first'))
    await cluster.until(() => cluster.requests === 1)
    const rest = []
    for (let index = 0; index < 20; index++) {
      rest.push(producer.produce(record(index % 2 === 0 ? 'orders' : 'audit', String(index))))
      await sleep(0)
    }
    release()
    await Promise.all([first, ...rest])
    expect(cluster.requests).toBe(2)
  })

  test('a topic that is missing is asked for again without holding up another', async () => {
    const cluster = new FakeCluster({ orders: [1] })
    const producer = open(cluster)
    const settled: string[] = []
    const missing = producer.produce(record('nowhere', 'x')).catch(error => settled.push(`nowhere: ${error.code}`))
    for (let index = 0; index < 3; index++) await producer.produce(record('orders', String(index))).then(() => settled.push('orders'))
    await missing
    expect(settled).toEqual(['orders', 'orders', 'orders', 'nowhere: unknown-topic'])
  })

  test('a partition without a leader waits for one alone, and its records keep their order', async () => {
    const cluster = new FakeCluster({ orders: [undefined, 1], audit: [1] })
    const producer = open(cluster)
    const waiting = ['a', 'b', 'c'].map(value => producer.produce(record('orders', value)))
    await producer.produce(record('orders', 'beside'.repeat(2), 1))
    await producer.produce(record('audit', 'x'))
    waiting.push(producer.produce(record('orders', 'd')))
    expect(cluster.values('orders', 0)).toEqual([])
    cluster.topics['orders'] = [2, 1]
    await Promise.all(waiting)
    expect(cluster.values('orders', 0)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('a partition that is refused for now is tried again in order, and the others go on', async () => {
    const cluster = new FakeCluster({ orders: [1, 1] })
    const producer = open(cluster)
    cluster.refusals.set('orders/0', NOT_ENOUGH_REPLICAS)
    const waiting = ['a', 'b'].map(value => producer.produce(record('orders', value)))
    await producer.produce(record('orders', 'x', 1))
    await producer.produce(record('orders', 'y', 1))
    waiting.push(producer.produce(record('orders', 'c')))
    cluster.refusals.clear()
    await Promise.all(waiting)
    expect(cluster.values('orders', 0)).toEqual(['a', 'b', 'c'])
    expect(cluster.values('orders', 1)).toEqual(['x', 'y'])
  })

  test('a broker that does not answer holds up only what it leads', async () => {
    const cluster = new FakeCluster({ orders: [1, 2] })
    const producer = open(cluster)
    const release = cluster.hold(1)
    const held = producer.produce(record('orders', 'held'))
    await producer.produce(record('orders', 'x', 1))
    await producer.produce(record('orders', 'y', 1))
    expect(cluster.values('orders', 0)).toEqual([])
    release()
    await held
  })

  test('a partition that moved is found where it is now', async () => {
    const cluster = new FakeCluster({ orders: [1] })
    const producer = open(cluster)
    await producer.produce(record('orders', 'before'))
    cluster.topics['orders'] = [2]
    await producer.produce(record('orders', 'after'))
    expect(cluster.values('orders', 0)).toEqual(['before', 'after'])
  })

  test('of records that are refused for good only those at fault are', async () => {
    const cluster = new FakeCluster({ orders: [1] })
    const producer = open(cluster)
    cluster.poison = 'bad'
    const values = ['a', 'b', 'bad', 'c', 'd']
    const outcomes = await Promise.allSettled(values.map(value => producer.produce(record('orders', value))))
    expect(outcomes.map(({ status }) => status)).toEqual(values.map(value => (value === 'bad' ? 'rejected' : 'fulfilled')))
    expect(cluster.values('orders', 0)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('however much waits for one partition, there is room for the others', async () => {
    const cluster = new FakeCluster({ orders: [undefined], audit: [1] })
    const producer = open(cluster)
    const large = Buffer.alloc(1024 * 1024)
    const waiting = Array.from({ length: 100 }, () => producer.produce({ ...record('orders', ''), value: large }))
    const outcomes = Promise.allSettled(waiting)
    await expect(waiting.at(-1)).rejects.toMatchObject({ code: 'failed', retriable: true })
    await producer.produce({ ...record('audit', ''), value: large })
    cluster.topics['orders'] = [1]
    const written = (await outcomes).filter(({ status }) => status === 'fulfilled').length
    expect(written).toBeGreaterThan(20)
    expect(cluster.values('orders', 0)).toHaveLength(written)
  })

  test('closing writes what is waiting, and refuses what cannot be written at once', async () => {
    const cluster = new FakeCluster({ orders: [1], audit: [undefined] })
    const producer = open(cluster)
    const outcomes = Promise.allSettled([producer.produce(record('orders', 'x')), producer.produce(record('audit', 'x'))])
    await producer.close()
    expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(cluster.openLinks).toBe(0)
  })
})

const NOT_ENOUGH_REPLICAS = 19
