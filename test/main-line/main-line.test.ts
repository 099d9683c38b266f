import kafkajs from 'kafkajs'
import SnappyCodec from 'kafkajs-snappy'
import { expect, onTestFinished, test } from 'vitest'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'

kafkajs.CompressionCodecs[kafkajs.CompressionTypes.Snappy] = SnappyCodec

const events = 100_000
const users = 100

function routerYaml(port: number): string {
  return `name: main-line
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}", consumer: { session.timeout.ms: 6000 } }
server:
  port: ${port}
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
  limits: { queue: 64mb, channels: 200 }
`
}

async function makeTopic(topic: string): Promise<kafkajs.Kafka> {
  const kafka = kafkaClient()
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 8 }] })
  await admin.disconnect()
  return kafka
}

interface Numbered {
  readonly user: number
  readonly sequence: number
}

/** Writes `count` events, numbered per user, in snappy-compressed batches. */
async function produce(kafka: kafkajs.Kafka, topic: string, count: number): Promise<void> {
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  for (let from = 0; from < count; from += 1000) {
    const messages = Array.from({ length: Math.min(1000, count - from) }, (_, index) => {
      const user = (from + index) % users
      const sequence = Math.floor((from + index) / users)
      return { key: String(user), value: JSON.stringify({ id: `m${from + index}`, event: 'order.updated', data: { user, sequence } }) }
    })
    await producer.send({ topic, messages, compression: kafkajs.CompressionTypes.Snappy })
  }
}

function sequencesByUser(received: readonly unknown[]): Map<number, number[]> {
  const byUser = new Map<number, number[]>()
  for (const data of received) {
    const { user, sequence } = data as Numbered
    const list = byUser.get(user)
    if (list === undefined) byUser.set(user, [sequence])
    else list.push(sequence)
  }
  return byUser
}

const complete = Array.from({ length: events / users }, (_, sequence) => sequence)

describeWithKafka('the main line: Kafka, a route, a pusher-js client', () => {
  test('every one of 100,000 snappy-compressed events arrives once, in order per key, while routes are edited', {
    timeout: 180_000,
  }, async () => {
    const topic = uniqueName('main-line')
    const kafka = await makeTopic(topic)
    const port = await freePort()
    const route = (pad: string) => `topics: ${topic}
routes:
  updated:
    event: order.updated
    actions:
      - broadcast: "user.{{data.user}}"
${pad}`
    const project = await makeProject({ 'router.yaml': routerYaml(port), 'routes/orders.yaml': route('') })
    const router = new RouterProcess(['run'], { cwd: project.root })
    await whenReady(port)
    const subscriber = new Subscriber(port, 'shop-key')
    await subscriber.subscribe(...Array.from({ length: users }, (_, user) => `user.${user}`))
    let edits = 0
    const editing = setInterval(() => {
      edits++
      // Broken for three edits on end: what is whole again at once is not called broken.
      const pad =
        edits % 6 >= 3 ? '  broken: [' : `  other${edits}:\n    event: nothing.${edits}\n    actions: [{ broadcast: public.nothing }]\n`
      void project.write('routes/orders.yaml', route(pad))
    }, 150)
    onTestFinished(() => clearInterval(editing))
    await produce(kafka, topic, events)
    await subscriber.atLeast(events)
    clearInterval(editing)
    const byUser = sequencesByUser(subscriber.received.map(({ data }) => data))
    expect(subscriber.received).toHaveLength(events)
    expect(byUser.size).toBe(users)
    for (const sequences of byUser.values()) expect(sequences).toEqual(complete)
    expect(edits).toBeGreaterThan(4)
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(metrics).toMatch(/signalbox_reloads_total\{outcome="applied"\} [1-9]/)
    expect(metrics).toMatch(/signalbox_reloads_total\{outcome="rejected"\} [1-9]/)
    expect(await router.terminate()).toBe(0)
  })
})
