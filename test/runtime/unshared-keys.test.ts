import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import type { RunningRouter } from '../../src/runtime/router-options.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'

const alarm = 'the group has other members, and the idempotency store is of this process alone'

async function unshared({ address }: RunningRouter): Promise<string | undefined> {
  const metrics = await (await fetch(`http://127.0.0.1:${address.port}/metrics`)).text()
  return /^signalbox_idempotency_unshared\{subscription="orders"\} (\d)$/m.exec(metrics)?.[1]
}

describeWithKafka('several instances with an idempotency store each', () => {
  test('raise an alarm in the log and in a metric as long as they share a group', async () => {
    const topic = uniqueName('unshared')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([{ topic, partitions: 2 }])
    const project = await makeProject({
      'router.yaml': `name: ${topic}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" } }
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
idempotency: { store: memory }
`,
      'routes/orders.yaml': `topics: ${topic}\nroutes:\n  made: { event: made, idempotency: true, actions: [{ broadcast: orders }] }\n`,
    })
    const start = async () => {
      const lines: string[] = []
      const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) })
      const router = await startRouter({ root: project.root, mode: 'run', env: {}, log, watch: false })
      onTestFinished(() => router.stop())
      await router.ready
      return { router, alarms: () => lines.filter(line => line.includes(alarm)).length }
    }
    const first = await start()
    expect([await unshared(first.router), first.alarms()]).toEqual(['0', 0])
    const second = await start()
    for (const { router, alarms } of [first, second]) {
      await expect.poll(() => unshared(router), { timeout: 60_000 }).toBe('1')
      expect(alarms()).toBeGreaterThan(0)
    }
    await second.router.stop()
    await expect.poll(() => unshared(first.router), { timeout: 60_000 }).toBe('0')
  })
})
