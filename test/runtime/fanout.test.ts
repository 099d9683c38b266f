import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

describeWithKafka('role: fanout on Kafka', () => {
  test('every instance broadcasts every message to its own sockets, a bad one is counted, and no group is left', async () => {
    const topic = uniqueName('fanout')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([{ topic, partitions: 2 }])
    const send = (value: string) => kafka.produce({ topic, key: null, value: Buffer.from(value), headers: {} })
    const event = (n: number) => JSON.stringify({ id: `e${n}`, event: 'order.created', data: { n } })
    await send(event(0))
    const project = await makeProject({
      'router.yaml': `name: fanout
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" }
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
      'routes/live.yaml': `topics: ${topic}\nrole: fanout\nenvelope: event\nroutes:\n  all: { actions: [{ broadcast: orders }] }\n`,
    })
    const start = async () => {
      const router = await startRouter({ root: project.root, mode: 'run', env: {}, log: pino({ level: 'silent' }), watch: false })
      onTestFinished(() => router.stop())
      await router.ready
      const subscriber = new Subscriber(router.address.port, 'shop-key')
      await subscriber.subscribe('orders')
      return { router, subscriber }
    }
    const instances = [await start(), await start()]
    await send('not JSON')
    await send(event(1))
    for (const { router, subscriber } of instances) {
      expect(await subscriber.atLeast(1)).toEqual([{ channel: 'orders', event: 'order.created', data: { n: 1 } }])
      const metrics = await (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
      expect(metrics).toMatch(/signalbox_messages_undecodable_total\{subscription="live"\} 1/)
    }
    expect(await kafka.committedOffsets('fanout.live', [topic])).toEqual([])
    expect(await kafka.topicOffsets(`${topic}.dlq`)).toEqual([])
  })
})
