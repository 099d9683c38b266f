// What faults cost everybody else, as ratios to runs without them: throughput with one message in a hundred poisoned (of
// any key, or all of ten keys in a thousand; or of any key in every second stretch of one run), and how long other keys take
// while the handler hangs or throws on one key in a hundred. Needs a build (`npm run build`); starts a Kafka of its own unless KAFKA_BROKERS names one.
//   node test/bench/faults.mjs [messages] [rounds] [poison | poisoned-keys | stretches | hangs | throws ...]
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { createTopics } from '../kafka/create-topics.mjs'
import { startKafka } from '../kafka/kafka-server.mjs'
import { median, startRouter, untilSettled } from './built-router.mjs'
import { overStretches } from './stretches.mjs'
import { inTurns } from './turns.mjs'

const messages = Number(process.argv[2] ?? 2_000_000)
/**
 * Meanwhile the engine's code is compiled, and later that of dead letters, of which there are a hundred times fewer: throughput is that of what comes
 * after.
 */
const warmUp = Math.min(messages / 2, 1_500_000)
const rounds = Number(process.argv[3] ?? 3)
const faults = process.argv.length > 4 ? process.argv.slice(4) : ['poison', 'poisoned-keys', 'stretches', 'hangs', 'throws']
const keys = 1_000
/** Messages with or without poison in a row, where they alternate. */
const stretch = 250_000
const longestRunMs = 300_000

/** A record without a value, not JSON, data of null, data of the wrong type, data too large, one that the handler refuses for good. */
const poisons = [
  () => null,
  n => `{"id":"${n}","event":"step","data":`,
  n => JSON.stringify({ id: String(n), event: 'step', data: null }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: 'first' } }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: n, text: 'x'.repeat(2_000) } }),
  n => JSON.stringify({ id: String(n), event: 'step', data: { sequence: n, refuse: true } }),
]
const ofAnyKey = n => n % 100 === Math.floor(n / keys) % 100
const poisoned = {
  poison: ofAnyKey,
  'poisoned-keys': n => n % 100 === 3,
  stretches: n => Math.floor(n / stretch) % 2 === 1 && ofAnyKey(n),
}
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
  if (faults.some(fault => fault !== 'stretches')) await fill(`${name}-clean`, clean)
  const ratios = Object.fromEntries(faults.map(fault => [fault, []]))
  const costs = Object.fromEntries(faults.map(fault => [fault, []]))
  const poisons = faults.filter(fault => Object.hasOwn(poisoned, fault))
  const slow = faults.filter(fault => !Object.hasOwn(poisoned, fault))
  for (const fault of poisons) await fill(`${name}-${fault}`, n => (poisoned[fault](n) ? poisonOf(n) : clean(n)))
  for (let round = 0; round < rounds; round++) {
    for (const fault of poisons) {
      for (const { rate, cost } of await (fault === 'stretches' ? inStretches : withPoison)(name, fault, round)) {
        ratios[fault].push(rate)
        costs[fault].push(cost)
      }
    }
    if (slow.length === 0) continue
    const works = await timeOfOthers(name, '', round)
    for (const fault of slow) {
      const ms = await timeOfOthers(name, fault, round)
      ratios[fault].push(ms / works)
      console.log(`one key in a hundred ${fault}: other keys done in ${Math.round(ms)} ms, without in ${Math.round(works)} ms`)
    }
  }
  for (const fault of poisons)
    console.log(
      `${fault}: throughput to that without: median ${median(ratios[fault]).toFixed(2)}; a dead letter costs ${Math.round(median(costs[fault]))} us of processor time more than a message`,
    )
  for (const fault of slow)
    console.log(`time of other keys where one in a hundred ${fault} to without: median ${median(ratios[fault]).toFixed(2)}`)
} finally {
  await admin.disconnect()
  await kafka.stop()
  await rm(folder, { recursive: true, force: true })
}

async function fill(topic, write) {
  await createTopics(admin, [{ topic, numPartitions: 6 }])
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

async function withPoison(name, fault, round) {
  const runs = ['clean', fault].map(kind => ({ run: `${name}-${kind}-${fault}-${round}`, topic: `${name}-${kind}` }))
  const routers = []
  try {
    for (const { run, topic } of runs) routers.push(await startOn(run, topic, { WORK_MS: '0', FAULTY: '' }))
    const [none, some] = await inTurns(routers, { messages, warmUp, limitMs: longestRunMs })
    for (const router of routers) await untilSettled(router, messages, { limitMs: longestRunMs, pauseMs: 100 })
    const [noLetters, letters] = await Promise.all(runs.map(({ run }) => readLetters(`${run}.dlq`)))
    console.log(
      `${fault}: ${figures(some)}, without ${figures(none)}; dead letters ${letters.length} of ${messages / 100}, not byte-identical ${changed(letters, poisoned[fault])}, without ${noLetters.length}`,
    )
    return [{ rate: some.rate / none.rate, cost: (some.cpu - none.cpu) * 100 }]
  } finally {
    for (const router of routers) await router.stop()
  }
}

async function inStretches(name, fault, round) {
  const run = `${name}-${fault}-${round}`
  const router = await startOn(run, `${name}-${fault}`, { WORK_MS: '0', FAULTY: '' })
  try {
    const found = await overStretches(router, { messages, stretch, warmUp, limitMs: longestRunMs })
    const letters = await readLetters(`${run}.dlq`)
    console.log(
      `${fault}: ${found.map(({ rate }) => rate.toFixed(2)).join(' ')}; dead letters ${letters.length}, not byte-identical ${changed(letters, poisoned[fault])}`,
    )
    return found.map(({ rate, cpu }) => ({ rate, cost: cpu * 100 }))
  } finally {
    await router.stop()
  }
}

function figures({ rate, cpu }) {
  return `${Math.round(rate)} messages/s at ${cpu.toFixed(1)} us of processor time each`
}

/** A router of its own on a topic that is full already. The handler writes to `told` when the keys that work are done. */
async function startOn(run, topic, env) {
  const root = join(folder, run)
  await createTopics(admin, [{ topic: `${run}.dlq`, numPartitions: 1 }])
  const files = {
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
  const told = join(root, 'told')
  const router = await startRouter(root, {
    address: kafka.address,
    files,
    env: { TELL: told, COUNT: String((messages * 99) / 100), ...env },
  })
  return { ...router, told }
}

/** How long the keys that work take, in ms, where one in a hundred is faulty. */
async function timeOfOthers(name, FAULTY, round) {
  const router = await startOn(`${name}-${FAULTY || 'works'}-${round}`, `${name}-clean`, { WORK_MS: '5', FAULTY })
  try {
    return await whenTold(router)
  } finally {
    await router.stop()
  }
}

/** Milliseconds from the first call of the handler until the keys that work are done. */
async function whenTold({ told }) {
  const endsAt = performance.now() + longestRunMs
  while (performance.now() < endsAt) {
    const text = await readFile(told, 'utf8').catch(() => '')
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
function changed(letters, isPoison) {
  const bytes = (key, value) => `${key} ${value === null ? 'none' : `=${Buffer.from(value).toString('base64')}`}`
  const left = new Map()
  for (let n = 0; n < messages; n++) {
    if (!isPoison(n)) continue
    const sent = bytes(n % keys, poisonOf(n))
    left.set(sent, (left.get(sent) ?? 0) + 1)
  }
  for (const { key, value } of letters) {
    const found = bytes(key, value)
    left.set(found, (left.get(found) ?? 0) - 1)
  }
  return [...left.values()].reduce((sum, count) => sum + Math.abs(count), 0)
}
