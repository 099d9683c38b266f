// Throughput of routes from Kafka: a plain broadcast, a handler that does nothing, and the same with each idempotency store, as ratios
// to the broadcast. Needs a build (`npm run build`) and redis-server; starts a Kafka of its own unless KAFKA_BROKERS names one.
//   node test/bench/idempotency.mjs [messages] [rounds]
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import kafkajs from 'kafkajs'
import { startKafka } from '../kafka/kafka-server.mjs'

const messages = Number(process.argv[2] ?? 200_000)
const rounds = Number(process.argv[3] ?? 3)
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

const redisPort = await freePort()
const variants = {
  broadcast: { action: 'broadcast: "user.{{data.user_id}}"', route: '', store: '' },
  'no-op handler': { action: 'invoke: ../handlers/nothing.mjs', route: '', store: '' },
  memory: { action: 'invoke: ../handlers/nothing.mjs', route: '    idempotency: true\n', store: '{ store: memory }' },
  level: { action: 'invoke: ../handlers/nothing.mjs', route: '    idempotency: true\n', store: '{ store: level }' },
  redis: {
    action: 'invoke: ../handlers/nothing.mjs',
    route: '    idempotency: true\n',
    store: `{ store: redis, url: "redis://127.0.0.1:${redisPort}" }`,
  },
}

const kafka = process.env.KAFKA_BROKERS ? { address: process.env.KAFKA_BROKERS, stop: async () => {} } : await startKafka()
const folder = await mkdtemp(join(tmpdir(), 'signalbox-bench-'))
const redis = spawn('redis-server', ['--port', String(redisPort), '--save', '', '--dir', folder], { stdio: 'ignore' })
const topic = `bench-${process.pid}`
try {
  await fill()
  const rates = Object.fromEntries(Object.keys(variants).map(name => [name, []]))
  // In turn, so that a busy minute of the machine is everybody's.
  for (let round = 0; round < rounds; round++)
    for (const [name, variant] of Object.entries(variants)) {
      const rate = await measure(`${name.replaceAll(' ', '-')}-${round}`, variant)
      rates[name].push(rate)
      console.log(`${name}: ${Math.round(rate)} messages/s`)
    }
  const median = list => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
  for (const [name, list] of Object.entries(rates))
    console.log(`${name}: median ${Math.round(median(list))} messages/s, ratio ${(median(list) / median(rates.broadcast)).toFixed(2)}`)
} finally {
  redis.kill('SIGKILL')
  await kafka.stop()
  await rm(folder, { recursive: true, force: true })
}

async function fill() {
  const client = new kafkajs.Kafka({ brokers: kafka.address.split(','), logLevel: kafkajs.logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 6 }], waitForLeaders: true })
  await admin.disconnect()
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  for (let sent = 0; sent < messages; sent += 5_000) {
    const batch = Array.from({ length: Math.min(5_000, messages - sent) }, (_, index) => {
      const n = sent + index
      const data = { user_id: n % 1_000, order_id: n, total: n * 1.5, status: 'paid' }
      return { key: `user-${n % 1_000}`, value: JSON.stringify({ id: `order-${n}`, event: 'order.paid', data }) }
    })
    await producer.send({ topic, messages: batch })
  }
  await producer.disconnect()
}

/** Messages a second, from the first that is received until all are settled. */
async function measure(name, { action, route, store }) {
  const root = join(folder, name)
  const port = await freePort()
  const files = {
    'router.yaml': `name: ${name}-${process.pid}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${kafka.address}" } }
server: { host: 127.0.0.1, port: ${port}, apps: [{ id: a, key: k, secret: not-a-secret }] }
${store === '' ? '' : `idempotency: ${store}\n`}`,
    'routes/bench.yaml': `topics: ${topic}\nfrom: earliest\nroutes:\n  paid:\n    event: order.paid\n${route}    actions:\n      - ${action}\n`,
    'handlers/nothing.mjs': 'export default () => {}\n',
  }
  for (const [file, text] of Object.entries(files)) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), text)
  }
  const child = spawn(process.execPath, [main, 'run', '--project', root], { stdio: 'ignore' })
  try {
    let startedAt = 0
    let before = 0
    for (;;) {
      const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
        response => response.text(),
        () => '',
      )
      const settled = Number(/^signalbox_messages_settled_total\{[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0)
      const now = performance.now()
      if (startedAt === 0 && settled > 0) [startedAt, before] = [now, settled]
      if (settled >= messages) return ((messages - before) * 1000) / (now - startedAt)
      await sleep(startedAt === 0 ? 5 : 20)
    }
  } finally {
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('exit', resolve))
  }
}

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}
