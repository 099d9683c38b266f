import { describe, expect, test } from 'vitest'
import { MemoryBroker } from '../../src/brokers/memory/memory-broker.ts'
import { MemoryCluster } from '../../src/brokers/memory/memory-cluster.ts'
import { brokerContract } from './broker-contract.ts'
import { Receiver } from './receiver.ts'

const CONFIG = { type: 'memory', partitions: 1 } as const

describe('the memory broker', () => {
  const cluster = new MemoryCluster({ partitions: CONFIG.partitions })
  brokerContract({ open: () => new MemoryBroker('local', CONFIG, cluster) })

  test('a topic is made by its first use, with the partitions the configuration says', async () => {
    const broker = new MemoryBroker('local', { type: 'memory', partitions: 3 })
    await broker.produce({ topic: 'orders', key: null, value: null, headers: {} })
    expect(await broker.topicOffsets('orders')).toHaveLength(3)
  })

  test('two brokers share nothing unless they share a cluster', async () => {
    const one = new MemoryBroker('one', CONFIG)
    const two = new MemoryBroker('two', CONFIG)
    await one.produce({ topic: 'orders', key: null, value: null, headers: {} })
    expect(await two.listTopics()).toEqual([])
  })

  test('a full partition drops its oldest records, and a consumer behind them starts at the oldest kept and says so', async () => {
    const small = new MemoryCluster({ partitions: 1, retention: { messages: 5, bytes: 1_000_000 } })
    const broker = new MemoryBroker('local', CONFIG, small)
    const send = (value: string) => broker.produce({ topic: 'orders', key: null, value: Buffer.from(value), headers: {} })
    const options = { group: 'g', topics: { names: ['orders'], patterns: [] }, from: { kind: 'earliest' }, maxWaitMs: undefined } as const
    await send('0')
    const first = new Receiver()
    const consumer = await broker.consume(options, first)
    await first.has(1)
    await consumer.stop()
    for (let index = 1; index < 3_000; index++) await send(String(index))
    const second = new Receiver()
    await broker.consume(options, second)
    await second.has(5)
    expect(second.statuses).toContainEqual({ kind: 'offset-out-of-range', topic: 'orders', partition: 0, resetTo: 2_995 })
    expect(second.values).toEqual(['2995', '2996', '2997', '2998', '2999'])
    expect(await broker.topicOffsets('orders')).toEqual([{ partition: 0, low: 2_995, high: 3_000 }])
    await broker.close()
  })

  test('retention by bytes keeps at least the newest record', async () => {
    const small = new MemoryCluster({ partitions: 1, retention: { messages: 1_000, bytes: 500 } })
    const broker = new MemoryBroker('local', CONFIG, small)
    for (let index = 0; index < 10; index++) await broker.produce({ topic: 'orders', key: null, value: Buffer.alloc(2_000), headers: {} })
    expect(await broker.topicOffsets('orders')).toEqual([{ partition: 0, low: 9, high: 10 }])
  })
})
