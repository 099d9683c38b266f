import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { deadLetterRecord } from '../../src/engine/dead-letter.ts'
import { createTopics } from '../kafka/create-topics.mjs'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { kafkaClient } from '../kafka/kafka-client.ts'
import { makeProject } from '../support/project.ts'
import { dlqRoutes, says } from './dlq-project.ts'
import { router } from './router-command.ts'

const breaks = `export default event => { throw new TypeError(event.data.id + ': the warehouse is closed') }\n`

interface Shop {
  readonly topic: string
  readonly kafka: KafkaBroker
  readonly command: (...args: string[]) => ReturnType<typeof router>
  /** Works off what is there; what the handlers said, in the order of the alphabet. */
  readonly run: () => Promise<readonly (string | undefined)[]>
  readonly list: () => Promise<readonly Record<string, unknown>[]>
  readonly send: (id: string, more?: object) => Promise<void>
  readonly repair: () => Promise<void>
}

async function shop(prepare: (topic: string, kafka: KafkaBroker) => Promise<unknown>): Promise<Shop> {
  const topic = uniqueName('dlq')
  const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
  onTestFinished(() => kafka.close())
  await prepare(topic, kafka)
  const project = await makeProject({
    'router.yaml': `name: ${topic}
broker: kafka
brokers: { kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" } }
server: { apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
`,
    'routes/orders.yaml': dlqRoutes(topic, 'from: earliest\n'),
    'handlers/price.ts': says('price'),
    'handlers/ship.ts': breaks,
    'handlers/count.ts': says('count'),
  })
  const command = (...args: string[]) => router(args, { cwd: project.root })
  return {
    topic,
    kafka,
    command,
    run: async () => {
      const { code, stderr } = await command('run', '--port', '0', '--stop-when-empty')
      expect(code).toBe(0)
      return [...stderr.matchAll(/SAID (\w+ \w+ \d*)/g)].map(([, said]) => said?.trim()).toSorted()
    },
    list: async () => JSON.parse((await command('dlq', 'list', '--topic', `${topic}.dlq`, '--format', 'json')).stdout),
    send: async (id, more = {}) => {
      const value = Buffer.from(JSON.stringify({ id, event: 'order.created', data: { id, ...more } }))
      await kafka.produce({ topic, key: Buffer.from(id), value, headers: { trace: Buffer.from(`t-${id}`) } })
    },
    repair: () => project.write('handlers/ship.ts', says('ship')),
  }
}

describeWithKafka('dlq on Kafka', () => {
  test('letters are listed, shown and sent back from the failed action on, each once, or to their topic for every route', {
    timeout: 150_000,
  }, async () => {
    const { topic, command, run, list, send, repair } = await shop((name, kafka) =>
      kafka.createTopics([name, `${name}.dlq`].map(each => ({ topic: each, partitions: 2 }))),
    )
    for (const id of ['a', 'b']) await send(id)
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
    await repair()
    const all = await command('dlq', 'replay', '--topic', `${topic}.dlq`, '--all')
    expect(all.stdout).toBe('1 letter sent (kafka)\n')
    expect(all.stderr).toMatch(/left out: [\s\S]*\(--again\)[\s\S]*left out: [\s\S]*\(--again\)/)
    expect(await run()).toEqual(['ship a 5'])
    expect((await command('dlq', 'replay', b, '--to-topic', '--again')).stdout).toBe('1 letter sent (kafka)\n')
    expect(await run()).toEqual(['count b', 'price b', 'ship b 5'])
  })

  test('a replay of everything reaches letters of any age, a named one is found where it lies, and a list says what it left out', {
    timeout: 150_000,
  }, async () => {
    const { topic, kafka, command } = await shop((name, broker) =>
      broker.createTopics([name, `${name}.dlq`].map(each => ({ topic: each, partitions: 1 }))),
    )
    const letters = Array.from({ length: 10_020 }, (_, offset) => {
      const value = Buffer.from(JSON.stringify({ id: String(offset), event: 'order.created', data: { id: offset } }))
      const record = { topic, partition: 0, offset, timestamp: 1_767_225_600_000, key: null, value, headers: {} }
      const cause = {
        group: `${topic}.orders`,
        route: 'orders/ship',
        action: '1:invoke',
        attempts: 1,
        type: 'Error',
        message: 'x',
        error: undefined,
      }
      return deadLetterRecord(record, `${topic}.dlq`, cause)
    })
    await Promise.all(letters.map(letter => kafka.produce(letter)))
    const listed = await command('dlq', 'list', '--topic', `${topic}.dlq`)
    expect(listed.stdout).toMatch(/\n10000 in all\n$/)
    expect(listed.stderr).toBe('looked at the newest 10,000 records of each partition; 20 older ones were not (--last)\n')

    expect((await command('dlq', 'replay', `${topic}.dlq/0/3`)).stdout).toBe('1 letter sent (kafka)\n')
    const dry = await command('dlq', 'replay', '--topic', `${topic}.dlq`, '--all', '--dry-run')
    expect(dry.stdout).toMatch(/\nand 9,019 more\n+10019 letters would be sent \(kafka\); nothing was\n$/)
    const all = await command('dlq', 'replay', '--topic', `${topic}.dlq`, '--all')
    expect(all.stdout).toBe('10019 letters sent (kafka)\n')
    expect(all.stderr).toBe(`left out: ${topic}.dlq/0/3: replayed before (--again)\n`)
    const [replays] = await kafka.topicOffsets(`${topic}.orders.signalbox-replay`)
    expect(replays).toMatchObject({ low: 0, high: 10_020 })
  })

  test('a letter that is too large for its topic says where the message lies: it is shown and sent back from there, until that is gone', {
    timeout: 150_000,
  }, async () => {
    const admin = kafkaClient().admin()
    await admin.connect()
    onTestFinished(() => admin.disconnect())
    const { topic, command, run, list, send, repair } = await shop(async name => {
      const small = [{ name: 'max.message.bytes', value: '2000' }]
      const topics = [{ topic: name }, { topic: `${name}.dlq`, configEntries: small }]
      await createTopics(
        admin,
        topics.map(each => ({ ...each, numPartitions: 1 })),
      )
    })
    await send('a', { text: 'x'.repeat(5_000) })
    expect(await run()).toEqual(['count a', 'price a'])
    const [letter] = await list()
    expect(letter).toMatchObject({ state: 'new', route: 'orders/ship', action: '1:invoke', error: 'TypeError', key: '"a"' })
    const id = String(letter?.['letter'])
    expect((await command('dlq', 'show', id)).stdout).toMatch(/trace: "t-a"[\s\S]+value:[\s\S]+"id": "a"[\s\S]+xxx/)
    await repair()
    expect((await command('dlq', 'replay', id)).stdout).toBe('1 letter sent (kafka)\n')
    expect(await run()).toEqual(['ship a 5'])

    const [place] = await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: place?.high ?? '' }] })
    expect((await command('dlq', 'show', id)).stdout).toMatch(
      /value:\n {2}5\d{3} bytes, which the message's own topic does not hold any more/,
    )
    const again = await command('dlq', 'replay', id, '--again')
    expect(again.stdout).toBe('0 letters sent (kafka)\n')
    expect(again.stderr).toContain(`it is only a reference, and ${topic}/0/0 is gone`)
  })
})

function byKey(one: { readonly key: unknown }, other: { readonly key: unknown }): number {
  return String(one.key) < String(other.key) ? -1 : 1
}
