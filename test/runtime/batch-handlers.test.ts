import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'

const keys = ['a', 'b', 'c', null]
const count = 400

/** Notes each call in a file; the first call that holds message 7 fails it. */
const handler = `import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineBatchHandler } from 'signalbox'

let hasFailed = false
export default defineBatchHandler<{ n: number }>(async (items, { signal }) => {
  const call = items.map(({ event, context }) => ({ n: event.data.n, attempt: context.attempt }))
  appendFileSync(join(import.meta.dirname, '../calls.jsonl'), JSON.stringify(call) + '\\n')
  await new Promise(resolve => setTimeout(resolve, 20))
  signal.throwIfAborted()
  for (const { event, fail } of items) {
    if (event.data.n !== 7 || hasFailed) continue
    hasFailed = true
    fail(new Error('not this one'))
  }
})
`

describeWithKafka('a batch handler on Kafka', () => {
  test('gets the messages of a topic many at a time, each key in order, and what failed again; all is committed', async () => {
    const topic = uniqueName('batches')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([{ topic, partitions: 1 }])
    const sent = Array.from({ length: count }, (_, n) => {
      const key = keys[n % keys.length] ?? null
      const value = Buffer.from(JSON.stringify({ id: `e${n}`, event: 'order.created', data: { n } }))
      return kafka.produce({ topic, key: key === null ? null : Buffer.from(key), value, headers: {} })
    })
    await Promise.all(sent)
    const project = await makeProject({
      'router.yaml': `name: ${topic}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" }
idempotency: { store: memory }
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
      'routes/index.yaml': `topics: ${topic}
from: earliest
routes:
  index:
    event: order.created
    idempotency: true
    actions:
      - invoke: { handler: ../handlers/index.ts, batch: { size: 50, wait: 50ms } }
        retry: { delay: 10ms }
`,
      'handlers/index.ts': handler,
    })
    const router = await startRouter({ root: project.root, mode: 'run', env: {}, log: pino({ level: 'silent' }), watch: false })
    onTestFinished(() => router.stop())
    await router.ready
    await expect
      .poll(() => kafka.committedOffsets(`${topic}.index`, [topic]), { timeout: 60_000, interval: 200 })
      .toMatchObject([{ offset: count }])
    const lines = readFileSync(join(project.root, 'calls.jsonl'), 'utf8').trim().split('\n')
    const calls = lines.map((line): { n: number; attempt: number }[] => JSON.parse(line))
    const sizes = calls.map(call => call.length)
    expect(Math.max(...sizes)).toBe(50)
    // Alone they would be 400 calls.
    expect(calls.length).toBeLessThan(100)
    for (const lane of keys.keys()) {
      const seen = calls.flat().filter(({ n }) => n % keys.length === lane)
      const last = new Map(seen.map(({ n }, at) => [n, at]))
      const order = [...last].toSorted(([, one], [, other]) => one - other).map(([n]) => n)
      expect(order).toEqual(order.toSorted((one, other) => one - other))
      expect(order).toHaveLength(count / keys.length)
    }
    const again = calls.flat().filter(({ attempt }) => attempt > 1)
    expect(again).toEqual([{ n: 7, attempt: 2 }])
    const others = calls.flat().filter(({ n }) => n % keys.length !== 3)
    expect(others).toHaveLength((count / keys.length) * 3)
  })
})
