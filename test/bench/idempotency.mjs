// Throughput of routes from Kafka: a plain broadcast, a handler that does nothing, and the same with each idempotency store, as ratios
// to the broadcast, in turns of half a second. Needs a build (`npm run build`) and redis-server; starts a Kafka of its own unless KAFKA_BROKERS names one.
//   node test/bench/idempotency.mjs [messages] [rounds]
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { createTopics } from '../kafka/create-topics.mjs'
import { startKafka } from '../kafka/kafka-server.mjs'
import { freePort, median, startRouter } from './built-router.mjs'
import { inTurns } from './turns.mjs'

const messages = Number(process.argv[2] ?? 2_000_000)
/** Meanwhile the engine's code is compiled. */
const warmUp = messages / 4
const rounds = Number(process.argv[3] ?? 3)
const longestRunMs = 300_000

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
  const results = Object.fromEntries(Object.keys(variants).map(name => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (const [name, result] of Object.entries(await measureAll(round))) {
      results[name].push(result)
      console.log(`${name}: ${Math.round(result.rate)} messages/s, ${result.cpu.toFixed(1)} us of processor time each`)
    }
  const ratesOf = name => results[name].map(({ rate }) => rate)
  for (const [name, list] of Object.entries(results)) {
    // Of each round: what the machine is busy with changes between them.
    const ratios = ratesOf(name).map((rate, round) => rate / ratesOf('broadcast')[round])
    const cpu = median(list.map(each => each.cpu))
    console.log(
      `${name}: median ${Math.round(median(ratesOf(name)))} messages/s, ratio ${median(ratios).toFixed(2)}; ${cpu.toFixed(1)} us of processor time each`,
    )
  }
} finally {
  redis.kill('SIGKILL')
  await kafka.stop()
  await rm(folder, { recursive: true, force: true })
}

async function fill() {
  const client = new kafkajs.Kafka({ brokers: kafka.address.split(','), logLevel: kafkajs.logLevel.NOTHING })
  const admin = client.admin()
  await admin.connect()
  await createTopics(admin, [{ topic, numPartitions: 6 }])
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

async function measureAll(round) {
  const routers = []
  try {
    for (const [name, variant] of Object.entries(variants)) routers.push(await start(`${name.replaceAll(' ', '-')}-${round}`, variant))
    const found = await inTurns(routers, { messages, warmUp, limitMs: longestRunMs })
    return Object.fromEntries(Object.keys(variants).map((name, index) => [name, found[index]]))
  } finally {
    for (const router of routers) await router.stop()
  }
}

function start(name, { action, route, store }) {
  return startRouter(join(folder, `${name}-${process.pid}`), {
    address: kafka.address,
    settings: store === '' ? '' : `idempotency: ${store}\n`,
    files: {
      'routes/bench.yaml': `topics: ${topic}\nfrom: earliest\nroutes:\n  paid:\n    event: order.paid\n${route}    actions:\n      - ${action}\n`,
      'handlers/nothing.mjs': 'export default () => {}\n',
    },
  })
}
