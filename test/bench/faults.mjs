// What faults cost everybody else, as ratios to runs without them: throughput with one message in a hundred poisoned, and how long other keys take
// while the handler hangs or throws on one key in a hundred. Needs a build (`npm run build`); starts a Kafka of its own unless KAFKA_BROKERS names one.
//   node test/bench/faults.mjs [messages] [rounds]
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import kafkajs from 'kafkajs'
import { startKafka } from '../kafka/kafka-server.mjs'

const messages = Number(process.argv[2] ?? 100_000)
const rounds = Number(process.argv[3] ?? 3)
const keys = 1_000
const longestRunMs = 300_000
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A record without a value, not JSON, data of null, data of the wrong type, data too large, one that the handler refuses for good. */
const poisons = [
  () => null,
  n => `{"id":"${n}","event":"step","data":`,
  n => JSON.stringify({ id: String(n), event: 'step', data: null }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: 'first' } }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: n, text: 'x'.repeat(2_000) } }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: n, refuse: true } }),
]
const poisonOf = n => poisons[Math.floor(n / 100) % poisons.length](n)
const clean = n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: n, text: 'a step' } })
const schema = JSON.stringify({
  type: 'object',
  required: ['sequence'],
  properties: { sequence: { type: 'integer', minimum: 0 }, text: { type: 'string', maxLength: 1_000 } },
})
/** Says when the first message came and when the last of the keys that work was done. The keys of one in a hundred hang or throw if so told. */
const handler = `import { writeFileSync } from 'node:fs'
const { TELL, COUNT, FAULTY, WORK_MS } = process.env
let [left, startedAt] = [Number(COUNT), undefined]
export default async (event, ctx) => {
  startedAt ??= performance.now()
  if (event.data.refuse === true) throw Object.assign(new Error('refused'), { name: 'PermanentError' })
  const key = Number(event.key)
  if (key % 100 === 7) {
    if (FAULTY === 'hangs') await new Promise(() => {})
    if (FAULTY === 'throws') throw new Error('broken')
  }
  if (WORK_MS !== '0') await new Promise(resolve => setTimeout(resolve, Number(WORK_MS)))
  if (key % 100 !== 7 && --left === 0) writeFileSync(TELL, String(performance.now() - startedAt))
}
`

const kafka = process.env.KAFKA_BROKERS ? { address: process.env.KAFKA_BROKERS, stop: async () => {} } : await startKafka()
const client = new kafkajs.Kafka({ brokers: kafka.address.split(','), logLevel: kafkajs.logLevel.NOTHING, requestTimeout: 60_000 })
const folder = await mkdtemp(join(tmpdir(), 'signalbox-bench-'))
const admin = client.admin()
try {
  await admin.connect()
  const name = `faults-${process.pid}`
  await fill(`${name}-clean`, clean)
  await fill(`${name}-poisoned`, n => (n % 100 === 3 ? poisonOf(n) : clean(n)))
  const ratios = { poison: [], hangs: [], throws: [] }
  for (let round = 0; round < rounds; round++) {
    const settled = async topic => {
      const run = `${topic}-${round}`
      const rate = await measure(run, topic, { WORK_MS: '0', FAULTY: '' }, whenSettled)
      return { rate, letters: await readLetters(`${run}.dlq`) }
    }
    const [none, some] = [await settled(`${name}-clean`), await settled(`${name}-poisoned`)]
    ratios.poison.push(some.rate / none.rate)
    console.log(
      `poison: ${Math.round(some.rate)} messages/s, without ${Math.round(none.rate)}; dead letters ${some.letters.length} of ${messages / 100}, not byte-identical ${changed(some.letters)}, without ${none.letters.length}`,
    )
    const others = async FAULTY => measure(`${name}-${FAULTY || 'works'}-${round}`, `${name}-clean`, { WORK_MS: '5', FAULTY }, whenTold)
    const works = await others('')
    for (const fault of ['hangs', 'throws']) {
      const ms = await others(fault)
      ratios[fault].push(ms / works)
      console.log(`one key in a hundred ${fault}: other keys done in ${Math.round(ms)} ms, without in ${Math.round(works)} ms`)
    }
  }
  console.log(`throughput with poison to without: median ${median(ratios.poison)}`)
  for (const fault of ['hangs', 'throws'])
    console.log(`time of other keys where one in a hundred ${fault} to without: median ${median(ratios[fault])}`)
} finally {
  await admin.disconnect()
  await kafka.stop()
  await rm(folder, { recursive: true, force: true })
}

async function fill(topic, write) {
  await admin.createTopics({ topics: [{ topic, numPartitions: 6 }], waitForLeaders: true })
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  for (let sent = 0; sent < messages; sent += 5_000) {
    const batch = Array.from({ length: Math.min(5_000, messages - sent) }, (_, index) => ({
      key: String((sent + index) % keys),
      value: write(sent + index),
    }))
    await producer.send({ topic, messages: batch })
  }
  await producer.disconnect()
}

async function measure(run, topic, env, whenDone) {
  const root = join(folder, run)
  const port = await freePort()
  const tell = join(root, 'told')
  await admin.createTopics({ topics: [{ topic: `${run}.dlq`, numPartitions: 1 }], waitForLeaders: true })
  const files = {
    'router.yaml': `name: ${run}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${kafka.address}" } }
server: { host: 127.0.0.1, port: ${port}, apps: [{ id: a, key: k, secret: not-a-secret }] }
`,
    'routes/bench.yaml': `topics: ${topic}
from: earliest
envelope: event
defaults: { timeout: 300ms, retry: { attempts: 3, backoff: fixed, delay: 100ms, jitter: none }, breaker: off, deadLetter: ${run}.dlq }
routes:
  step: { event: step, schema: ../schemas/step.json, actions: [{ invoke: ../handlers/step.mjs }] }
unmatched: dead-letter
`,
    'schemas/step.json': schema,
    'handlers/step.mjs': handler,
  }
  for (const [file, text] of Object.entries(files)) {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), text)
  }
  const child = spawn(process.execPath, [main, 'run', '--project', root], {
    stdio: 'ignore',
    env: { ...process.env, TELL: tell, COUNT: String((messages * 99) / 100), ...env },
  })
  try {
    return await whenDone({ port, tell, endsAt: performance.now() + longestRunMs })
  } finally {
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('exit', resolve))
  }
}

/** Messages a second, from the first that is seen settled until all are. */
async function whenSettled({ port, endsAt }) {
  let first
  while (performance.now() < endsAt) {
    const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
      response => response.text(),
      () => '',
    )
    const at = performance.now()
    const settled = Number(/^signalbox_messages_settled_total\{[^}]*\} (\d+)/m.exec(text)?.[1] ?? 0)
    if (settled > 0) first ??= { at, settled }
    if (settled >= messages) return ((messages - first.settled) * 1000) / (at - first.at)
    await sleep(first === undefined ? 5 : 25)
  }
  throw new Error('the messages were not settled in time')
}

/** Milliseconds from the first call of the handler until the keys that work are done. */
async function whenTold({ tell, endsAt }) {
  while (performance.now() < endsAt) {
    const text = await readFile(tell, 'utf8').catch(() => '')
    if (text !== '') return Number(text)
    await sleep(50)
  }
  throw new Error('the keys that work were not done in time')
}

/** Key and value of everything in the topic, as bytes. */
async function readLetters(topic) {
  const offsets = await admin.fetchTopicOffsets(topic)
  const count = offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0)
  const letters = []
  if (count === 0) return letters
  const consumer = client.consumer({ groupId: `${topic}-reader` })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the dead letters could not be read in time')), 60_000)
      const eachMessage = async ({ message: { key, value } }) => {
        if (letters.push({ key, value }) < count) return
        clearTimeout(timer)
        resolve()
      }
      consumer.run({ eachMessage }).catch(reject)
    })
  } finally {
    await consumer.disconnect()
  }
  return letters
}

/** How many of the letters and the poisons do not pair up, byte for byte. */
function changed(letters) {
  const bytes = (key, value) => `${key} ${value === null ? 'none' : `=${Buffer.from(value).toString('base64')}`}`
  const left = new Map()
  for (let n = 3; n < messages; n += 100) {
    const sent = bytes(n % keys, poisonOf(n))
    left.set(sent, (left.get(sent) ?? 0) + 1)
  }
  for (const { key, value } of letters) {
    const found = bytes(key, value)
    left.set(found, (left.get(found) ?? 0) - 1)
  }
  return [...left.values()].reduce((sum, count) => sum + Math.abs(count), 0)
}

/** Of an even number: the mean of the two in the middle. */
function median(list) {
  const sorted = list.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return (sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2).toFixed(2)
}

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}
