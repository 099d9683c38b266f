import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { connectedClient, fieldsOf, type RawClient } from '../realtime/harness.ts'
import { makeProject } from '../support/project.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'

const events = scaled(120, 2_000)
const room = 'presence-room'

interface Instance {
  readonly port: number
  readonly router: RouterProcess
  readonly client: RawClient
}

describeWithKafka('three instances behind one group', () => {
  describeWithRedis('and one Redis', () => {
    test('each client gets each event once; a killed instance is forgotten; a restart of Redis is got over', {
      timeout: testLimitMs,
    }, async () => {
      const redis = await RedisServer.start()
      onTestFinished(() => redis.stop())
      const topic = uniqueName('many')
      const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
      onTestFinished(() => kafka.close())
      await kafka.createTopics([{ topic, partitions: 6 }])
      const root = await projectOn(topic, redis.url)
      const instances = [await start(root, 0), await start(root, 1), await start(root, 2)]
      const [first, second, third] = instances
      if (first === undefined || second === undefined || third === undefined) throw new Error('three were started')
      const send = (n: number) =>
        kafka.produce({
          topic,
          key: Buffer.from(`key-${n % 24}`),
          value: Buffer.from(JSON.stringify({ id: `e${n}`, event: 'order.created', data: { n } })),
          headers: {},
        })

      // Each has its share of the six partitions, and knows of the other two.
      for (const { port } of instances) {
        await expect.poll(() => partitionsOf(port), { timeout: patienceMs, interval: 50 }).toBe(2)
        await expect.poll(() => metric(port, 'signalbox_backplane_instances'), { timeout: patienceMs, interval: 50 }).toBe(3)
      }
      await Promise.all(Array.from({ length: events }, (_, n) => send(n)))
      for (const { client, port } of instances) {
        await client.message(() => numbersOf(client).length >= events)
        expect(numbersOf(client).toSorted((a, b) => a - b)).toEqual(Array.from({ length: events }, (_, n) => n))
        expect(await metric(port, 'signalbox_messages_received_total{subscription="orders"}')).toBeGreaterThan(0)
      }

      await third.router.kill()
      expect(fieldsOf(await first.client.event('pusher_internal:member_removed'))).toEqual({ user_id: 'user-2' })
      await second.client.event('pusher_internal:member_removed')
      await expect.poll(() => metric(first.port, 'signalbox_backplane_instances'), { timeout: patienceMs, interval: 50 }).toBe(2)

      await redis.kill()
      for (const { port } of [first, second]) {
        await expect.poll(() => metric(port, 'signalbox_backplane_connected'), { timeout: patienceMs, interval: 50 }).toBe(0)
      }
      await redis.restart()
      for (const { port } of [first, second]) {
        await expect.poll(() => metric(port, 'signalbox_backplane_instances'), { timeout: patienceMs, interval: 50 }).toBe(2)
        await expect.poll(() => metric(port, 'signalbox_backplane_connected'), { timeout: patienceMs, interval: 50 }).toBe(1)
      }
      for (let n = events; n < events + 24; n++) await send(n)
      for (const { client } of [first, second]) await client.message(() => new Set(numbersOf(client)).size >= events + 24)
      const late = await connectedClient(second.port)
      expect(fieldsOf(await late.join(room, { user_id: 'late' }))).toMatchObject({ presence: { count: 3 } })
    })
  })
})

async function projectOn(topic: string, redisUrl: string): Promise<string> {
  const { root } = await makeProject({
    'router.yaml': `name: ${topic}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}", consumer: { session.timeout.ms: 6000, heartbeat.interval.ms: 1000 } }
backplane: { type: redis, url: "${redisUrl}" }
server: { port: "\${PORT}", apps: [{ id: shop, key: shop-key, secret: shop-secret }] }
`,
    'routes/orders.yaml': `topics: ${topic}\nenvelope: event\nroutes:\n  all: { actions: [{ broadcast: orders }] }\n`,
  })
  return root
}

/** An instance with a client that hears the orders and is a member of the room. */
async function start(cwd: string, index: number): Promise<Instance> {
  const port = await freePort()
  const router = new RouterProcess(['run'], { cwd, env: { PORT: String(port) } })
  await whenReady(port)
  const client = await connectedClient(port)
  await client.subscribe('orders')
  await client.join(room, { user_id: `user-${index}` })
  return { port, router, client }
}

function numbersOf(client: RawClient): readonly number[] {
  return client.received.filter(({ event }) => event === 'order.created').map(message => Number(fieldsOf(message)['n']))
}

async function metric(port: number, name: string): Promise<number | undefined> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const line = text.split('\n').find(each => each.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}

async function partitionsOf(port: number): Promise<number> {
  const body: unknown = await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()
  return Number(/"partitions":(\d+)/.exec(JSON.stringify(body))?.[1] ?? -1)
}
