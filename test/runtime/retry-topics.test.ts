import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { startRouter } from '../../src/runtime/router.ts'
import type { RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject, type TestProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routes = (topic: string, retry: string) => `topics: ${topic}
ordering: none
defaults: { retry: ${retry} }
routes:
  all:
    event: "*"
    actions:
      - invoke: ../handlers/flaky.ts
      - broadcast: done
`
const inTopics = '{ mode: topics, attempts: 3, backoff: fixed, delay: 50ms, jitter: none }'

/** Says each try on a channel, and fails as often as the message asks for. */
const flaky = `export default (event, ctx) => {
  ctx.broadcast('tries', 'try', { id: event.data.id, attempt: ctx.attempt })
  if (ctx.attempt <= event.data.fails) throw new Error('not yet')
}
`

interface Shop {
  readonly project: TestProject
  readonly router: RunningRouter
  readonly subscriber: Subscriber
  send(id: string, fails: number): Promise<void>
  /** What a channel got, each as `id` or `id/attempt`. */
  got(channel: string): readonly string[]
}

async function open(
  topic: string,
  routerYaml: string,
  options: Pick<RouterOptions, 'mode'>,
  file = routes(topic, inTopics),
): Promise<Shop> {
  const project = await makeProject({
    'router.yaml': routerYaml,
    'routes/orders.yaml': file,
    'handlers/flaky.ts': flaky,
  })
  const router = await startRouter({ root: project.root, env: {}, log: pino({ level: 'silent' }), watch: false, ...options })
  onTestFinished(() => router.stop())
  await router.ready
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe('tries', 'done')
  return {
    project,
    router,
    subscriber,
    send: (id, fails) => router.publish({ topic, event: 'made', id, key: 'k', data: { id, fails } }),
    got: channel =>
      subscriber.received
        .filter(each => each.channel === channel)
        .map(({ data }) => {
          const { id, attempt } = Object(data)
          return attempt === undefined ? id : `${id}/${attempt}`
        }),
  }
}

async function metric({ router }: Shop, line: string): Promise<void> {
  const read = async () => (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
  await expect.poll(read, { timeout: 30_000 }).toContain(`${line}\n`)
}

/** What every broker has to make possible; `elsewhere` is the group's topic of longer waits. */
async function keepsItsWord(shop: Shop, topic: string): Promise<void> {
  const { project, router, subscriber, send, got } = shop
  await send('slow', 2)
  await send('quick', 0)
  await send('never', 9)
  await subscriber.until(() => got('done').length === 2)
  expect(got('done')).toEqual(['quick', 'slow'])
  await metric(shop, 'signalbox_route_outcomes_total{subscription="orders",route="orders/all",outcome="dead_lettered"} 1')
  await subscriber.until(() => got('tries').length === 7)
  expect(got('tries').toSorted()).toEqual(['never/1', 'never/2', 'never/3', 'quick/1', 'slow/1', 'slow/2', 'slow/3'])
  await metric(shop, 'signalbox_retry_topic_messages_total{subscription="orders"} 4')
  // An edit that needs other topics makes them, and messages that wait in those of before are not forgotten.
  await send('waits', 1)
  await subscriber.until(() => got('tries').includes('waits/1'))
  await project.write('routes/orders.yaml', routes(topic, '{ mode: topics, attempts: 2, delay: 2s, jitter: none }'))
  expect(await router.reload()).toMatchObject({ summary: ['orders: its consumer restarts (retry.mode)'] })
  await send('longer', 1)
  await subscriber.until(() => got('done').length === 4)
  expect(got('done').slice(2)).toEqual(['waits', 'longer'])
}

const apps = 'server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }'

test('retry topics on the embedded broker', async () => {
  const shop = await open('orders', `name: shop\n${apps}\n`, { mode: 'dev' })
  await keepsItsWord(shop, 'orders')
})

test('conditions and templates see the place where a message was sent, not the retry topic that it comes back from', async () => {
  const file = `topics: orders
ordering: none
routes:
  all:
    when: { topic: orders }
    actions:
      - invoke: ../handlers/flaky.ts
        retry: ${inTopics}
      - broadcast: { channel: done, data: { place: "{{topic}}/{{partition}}/{{offset}}" } }
        when: { topic: orders }
`
  const { subscriber, send } = await open('orders', `name: shop\n${apps}\n`, { mode: 'dev' }, file)
  await send('first', 0)
  await send('second', 1)
  await send('third', 2)
  const places = () => subscriber.received.filter(({ channel }) => channel === 'done').map(({ data }) => Object(data).place)
  await subscriber.until(() => places().length === 3)
  const [partition] = /(?<=\/)\d+(?=\/)/.exec(String(places()[0])) ?? []
  // One key, one partition.
  expect(places().toSorted()).toEqual([0, 1, 2].map(offset => `orders/${partition}/${offset}`))
})

describeWithKafka('retry topics on Kafka', () => {
  test('the same, with a dead letter that is the message as it was sent', async () => {
    const topic = uniqueName('retry-topics')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([topic, `${topic}.dlq`].map(name => ({ topic: name, partitions: 2 })))
    const yaml = `name: ${topic}\nbroker: kafka\nbrokers: { kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" } }\n${apps}\n`
    const shop = await open(topic, yaml, { mode: 'run' })
    await keepsItsWord(shop, topic)
    await shop.router.stop()
    const retried = (await kafka.listTopics()).filter(name => name.startsWith(`${topic}.orders.`))
    expect(retried.toSorted()).toEqual([`${topic}.orders.signalbox-retry-2s`, `${topic}.orders.signalbox-retry-500ms`])
    const written = async (name: string) => (await kafka.topicOffsets(name)).reduce((sum, { low, high }) => sum + high - low, 0)
    const committed = (await kafka.committedOffsets(`${topic}.orders`, [topic, ...retried])).reduce((sum, { offset }) => sum + offset, 0)
    expect(await written(`${topic}.dlq`)).toBe(1)
    expect(committed).toBe((await written(topic)) + 6)
  })
})
