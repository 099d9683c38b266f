import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ConsumerStatus } from '../../src/brokers/broker.ts'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import type { BrokerLog } from '../../src/brokers/registry.ts'
import { describeWithKafka, uniqueName } from '../kafka/kafka-address.ts'
import { type KafkaServer, startKafka } from '../kafka/kafka-server.ts'
import { Receiver } from './receiver.ts'

describeWithKafka('Kafka away and back', () => {
  let server: KafkaServer

  beforeAll(async () => {
    server = await startKafka()
  })
  afterAll(() => server.stop())

  function open(log?: BrokerLog): KafkaBroker {
    const consumer = { 'heartbeat.interval.ms': 200, 'session.timeout.ms': 10_000 }
    return new KafkaBroker(
      'kafka',
      { type: 'kafka', brokers: [server.address], consumer },
      { clientId: 'signalbox-test', ...(log && { log }) },
    )
  }

  function consume(broker: KafkaBroker, topic: string, group = uniqueName('group')) {
    const receiver = new Receiver()
    const options = { group, topics: { names: [topic], patterns: [] }, from: { kind: 'earliest' }, maxWaitMs: undefined } as const
    return { receiver, started: broker.consume(options, receiver) }
  }

  const isDisconnected = ({ kind }: ConsumerStatus): boolean => kind === 'disconnected'

  test('a killed broker is waited for: nothing is revoked, nothing is read twice, what was being sent arrives', async () => {
    const broker = open()
    const topic = uniqueName('outage')
    const group = uniqueName('group')
    await broker.createTopics([{ topic, partitions: 2 }])
    const send = (value: string) => broker.produce({ topic, key: null, value: Buffer.from(value), headers: {} })
    const { receiver, started } = consume(broker, topic, group)
    const consumer = await started
    await send('before')
    await receiver.has(1)

    await server.kill()
    await receiver.until('it says so', () => receiver.statuses.some(isDisconnected))
    await expect(consumer.commit([{ topic, partition: 0, offset: 0 }])).rejects.toMatchObject({ code: 'unreachable', retriable: true })
    const late = consume(broker, topic)
    await late.receiver.until('it says so', () => late.receiver.statuses.some(isDisconnected))
    const sending = server
      .restart()
      .then(() => receiver.until('it says that it is back', () => receiver.statuses.at(-1)?.kind === 'joined'))
    await Promise.all([send('while away'), sending])

    await receiver.has(2)
    await late.receiver.has(2)
    await consumer.commit([...receiver.owned].map(key => ({ topic, partition: Number(key.split('/')[1]), offset: 1 })))
    expect(await broker.committedOffsets(group, [topic])).toHaveLength(2)
    expect(receiver.values).toEqual(['before', 'while away'])
    expect(receiver.revocations).toEqual([])
    expect(receiver.statuses.find(status => status.kind === 'disconnected')?.error).toMatchObject({
      name: 'BrokerError',
      code: 'unreachable',
    })
    await broker.close()
  })

  test('a consumer can be stopped while the broker is away', async () => {
    const broker = open()
    const topic = uniqueName('outage')
    await broker.createTopics([{ topic, partitions: 1 }])
    const { receiver } = consume(broker, topic)
    await receiver.owns(1)
    await server.kill()
    await receiver.until('it says so', () => receiver.statuses.some(isDisconnected))
    await broker.close()
    expect(receiver.revocations).toHaveLength(1)
  })

  test('connecting to nobody says where and why, and what kafkajs has to say goes to the log', async () => {
    const lines: string[] = []
    const broker = open((level, message) => lines.push(`${level} ${message}`))
    await expect(broker.connect()).rejects.toMatchObject({
      name: 'BrokerError',
      code: 'unreachable',
      message: `cannot reach Kafka at ${server.address} while connecting: ECONNREFUSED`,
    })
    expect(lines).toContainEqual(expect.stringMatching(/^error .*ECONNREFUSED/))
    await broker.close()
  })
})
