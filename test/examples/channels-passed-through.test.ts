import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { inAnyOrder, readExample, runExample, subscriberOf } from './example.ts'
import { producerFor } from './kafka-producer.ts'

describeWithKafka('channels-passed-through on Kafka', () => {
  test('router consume does without route files what the routes do', async () => {
    const topicPrefix = `${uniqueName('realtime')}_`
    const topicOf = (channel: string) => `${topicPrefix}${channel.replaceAll('.', '_')}`
    const example = await readExample('channels-passed-through')
    const channels = [...new Set(example.promised.map(({ channel }) => channel))]
    const producer = await producerFor(...channels.map(topicOf))
    const env = { KAFKA_BROKERS: kafkaBrokers.join(',') }
    const router = await runExample(example, { mode: 'run', env, broker: 'kafka', channels: { channels, topicPrefix, app: undefined } })
    const subscriber = await subscriberOf(example, router)
    for (const { channel, event, data } of example.promised) {
      await producer.send({ topic: topicOf(channel), messages: [{ value: JSON.stringify({ id: event, event, data }) }] })
    }
    expect(inAnyOrder(await subscriber.atLeast(example.promised.length))).toEqual(inAnyOrder(example.promised))
  })
})
