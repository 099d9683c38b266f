import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'
import { router } from './router-command.ts'

const says = (what: string) =>
  `export default (event, ctx) => { ctx.log.info({}, 'SAID ${what} ' + event.data.id + ' ' + (ctx.with.price ?? '')); return 5 }\n`
const breaks = `export default event => { throw new TypeError(event.data.id + ': the warehouse is closed') }\n`

const routes = (topic: string) => `topics: ${topic}
from: earliest
defaults: { retry: { attempts: 1 } }
routes:
  ship:
    event: order.created
    actions:
      - invoke: ../handlers/price.ts
        as: price
      - invoke: ../handlers/ship.ts
        with: { price: "{{results.price}}" }
  count:
    event: order.created
    actions:
      - invoke: ../handlers/count.ts
`

describeWithKafka('dlq on Kafka', () => {
  test('letters are listed, shown and sent back from the failed action on, each once, or to their topic for every route', {
    timeout: 150_000,
  }, async () => {
    const topic = uniqueName('dlq')
    const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
    onTestFinished(() => kafka.close())
    await kafka.createTopics([topic, `${topic}.dlq`].map(name => ({ topic: name, partitions: 2 })))
    const project = await makeProject({
      'router.yaml': `name: ${topic}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" } }
server: { apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
      'routes/orders.yaml': routes(topic),
      'handlers/price.ts': says('price'),
      'handlers/ship.ts': breaks,
      'handlers/count.ts': says('count'),
    })
    const command = (...args: string[]) => router(args, { cwd: project.root })
    /** What the handlers said, in the order of the alphabet. */
    const run = async () => {
      const { code, stderr } = await command('run', '--port', '0', '--stop-when-empty')
      expect(code).toBe(0)
      return [...stderr.matchAll(/SAID (\w+ \w+ \d*)/g)].map(([, said]) => said?.trim()).toSorted()
    }
    const list = async (): Promise<readonly Record<string, unknown>[]> =>
      JSON.parse((await command('dlq', 'list', '--topic', `${topic}.dlq`, '--format', 'json')).stdout)
    for (const id of ['a', 'b']) {
      const value = Buffer.from(JSON.stringify({ id, event: 'order.created', data: { id } }))
      await kafka.produce({ topic, key: Buffer.from(id), value, headers: { trace: Buffer.from(`t-${id}`) } })
    }
    expect(await run()).toEqual(['count a', 'count b', 'price a', 'price b'])

    const letters = await list()
    expect(letters.map(({ state, route, action, error, key }) => ({ state, route, action, error, key })).toSorted(byKey)).toEqual(
      ['"a"', '"b"'].map(key => ({ state: 'new', route: 'orders/ship', action: '1:invoke', error: 'TypeError', key })),
    )
    const b = String(letters.find(({ key }) => key === '"b"')?.['letter'])
    expect((await command('dlq', 'show', b)).stdout).toMatch(/state: new[\s\S]+trace: "t-b"[\s\S]+stack:[\s\S]+"id": "b"/)

    const dry = await command('dlq', 'replay', '--topic', `${topic}.dlq`, '--error', 'B: the warehouse', '--dry-run')
    expect(dry.stdout).toMatch(/1:invoke[\s\S]*1 letter would be sent \(kafka\); nothing was\n$/)
    expect((await command('dlq', 'replay', b)).stdout).toBe('1 letter sent (kafka)\n')
    // Still broken: it comes back marked, and is not sent again by accident.
    expect(await run()).toEqual([])
    expect((await list()).map(({ key, state }) => `${key} ${state}`).toSorted()).toEqual(['"a" new', '"b" failed again', '"b" replayed'])
    await project.write('handlers/ship.ts', says('ship'))
    const all = await command('dlq', 'replay', '--topic', `${topic}.dlq`, '--all')
    expect(all.stdout).toBe('1 letter sent (kafka)\n')
    expect(all.stderr).toMatch(/left out: [\s\S]*\(--again\)[\s\S]*left out: [\s\S]*\(--again\)/)
    expect(await run()).toEqual(['ship a 5'])
    expect((await command('dlq', 'replay', b, '--to-topic', '--again')).stdout).toBe('1 letter sent (kafka)\n')
    expect(await run()).toEqual(['count b', 'price b', 'ship b 5'])
  })
})

function byKey(one: { readonly key: unknown }, other: { readonly key: unknown }): number {
  return String(one.key) < String(other.key) ? -1 : 1
}
