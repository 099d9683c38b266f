import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routes = (topic: string) => `topics: ${topic}
defaults: { retry: { mode: in-order, attempts: 2, backoff: fixed, delay: 8s, jitter: none } }
routes:
  all:
    event: "*"
    actions:
      - invoke: ../handlers/flaky.ts
      - broadcast: done
`

/** The first try of what is said to fail does. */
const flaky = `export default (event, ctx) => {
  ctx.broadcast('tries', 'try', { id: event.data.id })
  if (event.data.fails && ctx.attempt === 1) throw new Error('not yet')
}
`

describeWithKafka('a retry that waits longer than the session of its consumer', () => {
  test('keeps its membership: no rebalance, other keys go on, and its own waits', { timeout: 60_000 }, async () => {
    const topic = uniqueName('long-retry')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([{ topic, partitions: 1 }])
    const admin = kafkaClient().admin()
    await admin.connect()
    onTestFinished(() => admin.disconnect())
    const project = await makeProject({
      'router.yaml': `name: ${topic}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}", consumer: { session.timeout.ms: 6000, heartbeat.interval.ms: 500 } }
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
      'routes/orders.yaml': routes(topic),
      'handlers/flaky.ts': flaky,
    })
    const said: string[] = []
    const log = pino({ level: 'info' }, { write: (line: string) => void said.push(String(JSON.parse(line).msg)) })
    const router = await startRouter({ root: project.root, mode: 'run', env: {}, log, watch: false })
    onTestFinished(() => router.stop())
    await router.ready
    const subscriber = new Subscriber(router.address.port, 'shop-key')
    await subscriber.subscribe('tries', 'done')
    const got = (channel: string) => subscriber.received.filter(each => each.channel === channel).map(({ data }) => String(Object(data).id))
    const send = (id: string, key: string, fails = false) => router.publish({ topic, event: 'made', id, key, data: { id, fails } })
    const members = async () =>
      (await admin.describeGroups([`${topic}.orders`])).groups.map(({ state, members: all }) => [
        state,
        all.map(({ memberId }) => memberId),
      ])
    const before = await members()
    await send('waits', 'a', true)
    await send('behind', 'a')
    await subscriber.until(() => got('tries').length === 1)
    // One message of another key after the other, until the wait is over.
    for (let other = 0; !got('done').includes('behind'); other++) {
      await send(`other-${other}`, 'b')
      await subscriber.until(() => got('done').includes(`other-${other}`))
    }
    const done = got('done').filter(id => !id.startsWith('other'))
    expect(done).toEqual(['waits', 'behind'])
    expect(got('done').indexOf('waits')).toBeGreaterThan(5)
    expect(await members()).toEqual(before)
    expect(before).toEqual([['Stable', [expect.any(String)]]])
    expect(said.filter(message => message === 'joined')).toHaveLength(1)
  })
})
