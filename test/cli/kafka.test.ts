import { expect, onTestFinished, test } from 'vitest'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const routes = 'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - broadcast: orders\n'

function routerYaml(brokers: string): string {
  return `name: shop
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${brokers}" }
server:
  apps: [{ id: shop, key: shop-key, secret: "not-a-secret" }]
`
}

describeWithKafka('publish to Kafka', () => {
  test('writes events with their keys, and raw records byte for byte', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml(kafkaBrokers.join(',')), 'routes/a.yaml': routes })
    const topic = uniqueName('cli')
    const event = await router(['publish', topic, 'order.created', '{"n": 1}', '--key', 'k1', '--id', 'id-1'], { cwd: root })
    expect(event).toEqual({ code: 0, stdout: `published order.created to ${topic} (kafka), id id-1\n`, stderr: '' })
    const raw = await router(['publish', topic, '-', '--raw', '--key', 'k1', '--broker', 'kafka'], {
      cwd: root,
      input: '{"as": "it is" }\n',
    })
    expect(raw).toMatchObject({ code: 0, stderr: '' })
    expect(await readTopic(topic, 2)).toEqual([
      { key: 'k1', value: '{"id":"id-1","event":"order.created","data":{"n":1}}' },
      { key: 'k1', value: '{"as": "it is" }\n' },
    ])
  })
})

test('a broker that nobody answers for is one line with its address, with exit code 2', async () => {
  const { root } = await makeProject({ 'router.yaml': routerYaml('127.0.0.1:1'), 'routes/a.yaml': routes })
  const { code, stdout, stderr } = await router(['publish', 'orders', 'order.created', '{}'], { cwd: root })
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^error: .*127\.0\.0\.1:1.*\n$/)
})

test('run waits for a broker that is not up yet, and still stops with exit code 0', async () => {
  const { root } = await makeProject({ 'router.yaml': routerYaml('127.0.0.1:1'), 'routes/a.yaml': routes })
  const run = new RunningCommand(['run', '--port', '0'], { cwd: root })
  const { groups } = await run.says(/"port":(?<port>\d+),"msg":"listening"/)
  await run.says(/cannot reach Kafka at 127\.0\.0\.1:1/)
  const address = `http://127.0.0.1:${groups?.['port']}`
  expect((await fetch(`${address}/healthz`)).status).toBe(200)
  expect((await fetch(`${address}/readyz`)).status).toBe(503)
  run.send('SIGTERM')
  const { code, stderr } = await run.ended
  expect(code).toBe(0)
  expect(stderr).not.toMatch(/"level":50/)
})

async function readTopic(topic: string, count: number): Promise<readonly { key: string; value: string }[]> {
  const kafka = kafkaClient()
  const consumer = kafka.consumer({ groupId: uniqueName('cli') })
  onTestFinished(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const found: { key: string; value: string }[] = []
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message }) => {
          found.push({ key: String(message.key), value: String(message.value) })
          if (found.length === count) resolve()
        },
      })
      .catch(reject)
  })
  return found
}
