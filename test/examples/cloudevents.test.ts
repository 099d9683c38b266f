import { expect, test } from 'vitest'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { Subscriber } from '../support/pusher-client.ts'
import { readExample, runExample } from './example.ts'
import { producerFor } from './kafka-producer.ts'

describeWithKafka('cloudevents on Kafka', () => {
  test("another producer's binary and structured CloudEvents arrive alike", async () => {
    const topic = uniqueName('shop-events')
    const producer = await producerFor(topic)
    const env = { KAFKA_BROKERS: kafkaBrokers.join(','), EVENTS_TOPIC: topic }
    const router = await runExample(await readExample('cloudevents'), { env, broker: 'kafka' })
    const subscriber = new Subscriber(router.address.port, 'app-key')
    await subscriber.subscribe('orders')

    const binary = {
      value: '{"order_id": "o-2"}',
      headers: {
        ce_specversion: '1.0',
        ce_id: '1',
        ce_source: '/till/3',
        ce_type: 'com.example.order.placed',
        'content-type': 'application/json',
      },
    }
    const event = { specversion: '1.0', id: '2', source: '/till/3', type: 'com.example.order.paid', data: { order_id: 'o-2' } }
    const structured = { value: JSON.stringify(event), headers: { 'content-type': 'application/cloudevents+json; charset=UTF-8' } }
    await producer.send({ topic, messages: [binary, structured] })
    expect(await subscriber.atLeast(2)).toEqual([
      { channel: 'orders', event: 'com.example.order.placed', data: { id: '1', source: '/till/3', order: 'o-2' } },
      { channel: 'orders', event: 'com.example.order.paid', data: { id: '2', source: '/till/3', order: 'o-2' } },
    ])
  })
})
