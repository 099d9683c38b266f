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
  const results = Object.fromEntries(Object.keys(variants).map(name => [name, []]))
  // In turn, so that a busy minute of the machine is everybody's; the first round warms the disk and the broker.
  for (let round = 0; round < rounds; round++)
    for (const [name, variant] of Object.entries(variants)) {
      const result = await measure(`${name.replaceAll(' ', '-')}-${round}`, variant)
      results[name].push(result)
      console.log(`${name}: ${Math.round(result.rate)} messages/s, ${result.cpu.toFixed(1)} us of processor time each`)
    }
  const median = list => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]
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

/** Messages a second, from the first that is seen settled until nearly all are, and processor time for each. */
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
    let [first, last] = [undefined, undefined]
    for (;;) {
      const sample = await look(port)
      if (sample !== undefined && sample.settled > 0) first ??= sample
      if (first !== undefined && sample.settled >= messages) {
        // Not the last look: it came too late by up to a pause.
        const end = last ?? sample
        const done = end.settled - first.settled
        return { rate: (done * 1000) / (end.at - first.at), cpu: ((end.cpu - first.cpu) * 1e6) / done }
      }
      if (sample !== undefined && sample !== first) last = sample.settled > 0 ? sample : undefined
      await sleep(first === undefined ? 5 : 50)
    }
  } finally {
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('exit', resolve))
  }
}

/** What the router says of itself: messages settled, and seconds of processor time. */
async function look(port) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    const at = performance.now()
    const text = await response.text()
    const number = pattern => Number(pattern.exec(text)?.[1] ?? 0)
    const settled = number(/^signalbox_messages_settled_total\{[^}]*\} (\d+)/m)
    return { at, settled, cpu: number(/^process_cpu_seconds_total (\S+)/m) }
  } catch {
    return undefined
  }
}

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}
