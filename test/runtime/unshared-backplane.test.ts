import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'

describeWithKafka('instances that share messages and not sockets', () => {
  test('say so as an error and in a metric, and one alone does not', async () => {
    const topic = uniqueName('unshared')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([{ topic, partitions: 2 }])
    const { root } = await makeProject({
      'router.yaml': `name: ${topic}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}", consumer: { heartbeat.interval.ms: 500 } }
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
      'routes/orders.yaml': `topics: ${topic}\nenvelope: event\nroutes:\n  all: { actions: [{ broadcast: orders }] }\n`,
    })
    const lines: string[] = []
    const sink = new Writable({
      write(chunk, _, done) {
        lines.push(String(chunk))
        done()
      },
    })
    const start = async () => {
      const router = await startRouter({ root, mode: 'run', env: {}, log: pino({ level: 'error' }, sink), watch: false })
      onTestFinished(() => router.stop())
      await router.ready
      return async () => {
        const text = await (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
        return /^signalbox_backplane_unshared\{subscription="orders"\} (\d)/m.exec(text)?.[1]
      }
    }
    const first = await start()
    expect(await first()).toBe('0')
    expect(lines).toEqual([])
    const second = await start()
    for (const unshared of [first, second]) await expect.poll(unshared, { timeout: 25_000 }).toBe('1')
    expect(lines.join()).toContain('clients miss what the others broadcast')
  })
})
