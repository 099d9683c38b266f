import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MemoryBroker } from '../../src/brokers/memory/memory-broker.ts'
import type { SourceRecord } from '../../src/compiler/plan.ts'
import { Backtest } from '../../src/testing/backtest.ts'
import { formatBacktest } from '../../src/testing/format-backtest.ts'
import { countMessages, planReading, readPast } from '../../src/testing/past-records.ts'
import { RunningCommand, router } from '../cli/router-command.ts'
import { compileFiles } from '../compiler/compile-files.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'

const shop = (topic = 'orders') => `topics: [${topic}]
routes:
  large:
    event: order.created
    when: { data.total: { gte: 100 } }
    actions:
      - broadcast: "user.{{data.user_id}}"
  paid:
    event: order.paid
    actions: [{ emit: { topic: audit, key: "{{data.user_id}}" } }]
`

function plan(text: string, extra: Parameters<typeof compileFiles>[1] = {}) {
  const { plan: compiled, problems } = compileFiles({ 'routes/shop.yaml': text }, extra)
  expect(problems).toEqual([])
  return compiled
}

function record(offset: number, value: unknown): SourceRecord {
  const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return { topic: 'orders', partition: 0, offset, timestamp: 0, key: null, value: bytes, headers: {} }
}

const created = (total: unknown, userId: unknown = 7) => ({ event: 'order.created', data: { total, user_id: userId } })

/** What an edit of `shop` does to these messages. */
function backtest(edit: (text: string) => string, values: readonly unknown[]) {
  const text = edit(shop())
  expect(text).not.toBe(shop())
  const run = new Backtest(plan(shop()), plan(text))
  values.forEach((value, offset) => {
    run.take(undefined, record(offset, value))
  })
  return run.report()
}

describe('what an edit would have done', () => {
  test('counts what a route newly takes, and gives the first messages with why they were not taken', () => {
    const report = backtest(
      text => text.replace('gte: 100', 'gte: 50'),
      [10, 60, 70, 80, 90, 100].map(total => created(total)),
    )
    expect(report).toMatchObject({ messages: 6, changed: 4, outputs: { broadcast: { before: 1, after: 5 } } })
    expect(report.routes).toHaveLength(1)
    expect(report.routes[0]).toMatchObject({ route: 'shop/large', differences: [{ kind: 'taken', messages: 4 }] })
    const examples = report.routes[0]?.differences[0]?.examples
    expect(examples?.map(({ offset }) => offset)).toEqual([1, 2, 3])
    expect(examples?.[0]).toMatchObject({
      topic: 'orders',
      partition: 0,
      event: 'order.created',
      before: { state: 'left', why: expect.stringContaining('`data.total` is 60') },
      after: { state: 'taken', outputs: [{ action: 'broadcast', channel: 'user.7' }] },
    })
  })

  test.each<[string, (text: string) => string, unknown, string]>([
    ['no longer taken', text => text.replace('gte: 100', 'gte: 500'), created(100), 'shop/large left'],
    ['another channel', text => text.replace('user.{{', 'private-user.{{'), created(100), 'shop/large changed'],
    ['a path that is not there', text => text.replace('data.user_id}}"\n  paid', 'data.usr}}"\n  paid'), created(100), 'shop/large fails'],
    ['a route renamed', text => text.replace('large:', 'big:'), created(100), 'shop/large left, shop/big taken'],
    ['what no route names', text => `${text}unmatched: dead-letter\n`, { event: 'other', data: 1 }, 'shop/unmatched dead-lettered'],
    [
      'what no route names is sent',
      text => `${text}unmatched: { actions: [{ broadcast: rest }] }\n`,
      { event: 'other', data: 1 },
      'shop/unmatched taken',
    ],
    [
      'an envelope that the message has not',
      text => `${text}envelope: cloudevents\n`,
      created(100),
      'shop/large dead-lettered, shop/paid dead-lettered',
    ],
  ])('%s', (_, edit, value, expected) => {
    const { routes, changed } = backtest(edit, [value])
    expect(changed).toBe(1)
    expect(routes.map(({ route, differences }) => `${route} ${differences.map(({ kind }) => kind).join('+')}`).join(', ')).toBe(expected)
  })

  test('is nothing where an edit does not matter to the messages that were', () => {
    const report = backtest(text => text.replace('gte: 100', 'gte: 99'), [created(10), created(100), 'not JSON'])
    expect(report).toMatchObject({ messages: 3, changed: 0, routes: [] })
    expect(formatBacktest(report, { topics: ['orders'], against: 'main', notes: [] }, { color: false })).toContain('nothing would change')
  })

  test('is said with both sides of each example', () => {
    const report = backtest(text => text.replace('gte: 100', 'gte: 50'), [created(60), created(10)])
    expect(formatBacktest(report, { topics: ['orders'], against: 'main', notes: ['a note'] }, { color: false })).toBe(`\
2 messages of orders, the project against main

shop/large
  takes what it did not take: 1 message
    orders/0 offset 0 order.created
      - left alone: \`when\` does not hold at \`data.total: { gte: 100 }\`: \`data.total\` is 60
      + broadcast channel: user.7  event: order.created  data: {"total":60,"user_id":7}

broadcast: 0 → 1
note: a note
1 message would be treated differently; nothing was executed
`)
  })
})

describe('which messages are read', () => {
  test('the last ones are shared out over partitions: quiet ones give all they have, busy ones the rest evenly', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 200 }), async (sizes, last) => {
        const broker = await filled(sizes)
        const [reading] = await planReading([{ broker, topic: 'orders' }], { kind: 'last', messages: last })
        const counts = (reading?.parts ?? []).map(({ start, end }) => end - start)
        const total = sizes.reduce((sum, size) => sum + size, 0)
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(Math.min(last, total))
        for (const part of reading?.parts ?? []) expect(part.end).toBe(sizes[part.partition])
        const cut = (reading?.parts ?? []).filter(({ start }) => start > 0).map(({ start, end }) => end - start)
        if (cut.length > 0) expect(Math.min(...cut)).toBeGreaterThanOrEqual(Math.max(...counts) - 1)
        await broker.close()
      }),
      { numRuns: 50 },
    )
  })

  test('exactly the records planned arrive, in their order, and what is written meanwhile does not', async () => {
    const broker = await filled([5, 0, 30])
    const readings = await planReading([{ broker, topic: 'orders' }], { kind: 'last', messages: 20 })
    await broker.produce({ topic: 'orders', partition: 2, key: null, value: Buffer.from('late'), headers: {} })
    const read: string[] = []
    const receive = (records: readonly SourceRecord[]) => {
      read.push(...records.map(({ partition, offset }) => `${partition}/${offset}`))
      return undefined
    }
    for (const reading of readings) expect(await readPast(reading, receive)).toEqual([])
    expect(countMessages(readings)).toBe(20)
    expect(read.filter(place => place.startsWith('0/'))).toEqual(['0/0', '0/1', '0/2', '0/3', '0/4'])
    expect(read.filter(place => place.startsWith('2/'))).toEqual(Array.from({ length: 15 }, (_, index) => `2/${15 + index}`))
  })

  test('no more is read of a partition while somebody works on what was read', async () => {
    const broker = await filled([2_500])
    const [reading] = await planReading([{ broker, topic: 'orders' }], { kind: 'last', messages: 2_500 })
    if (reading === undefined) throw new Error('there is nothing to read')
    const pages: number[] = []
    let atWork = 0
    const receive = async (records: readonly SourceRecord[]) => {
      atWork++
      expect(atWork).toBe(1)
      await new Promise(resolve => setTimeout(resolve, 20))
      pages.push(records.length)
      atWork--
    }
    expect(await readPast(reading, receive)).toEqual([])
    expect(pages.length).toBeGreaterThan(1)
    expect(pages.reduce((sum, count) => sum + count, 0)).toBe(2_500)
    await expect(readPast(reading, async () => Promise.reject(new Error('the disk is full')))).rejects.toThrow('the disk is full')
  })

  test('those since a time', async () => {
    const broker = await filled([3], index => 1_000 * index)
    const [reading] = await planReading([{ broker, topic: 'orders' }], { kind: 'since', timestamp: 1_000 })
    expect(reading?.parts).toEqual([{ topic: 'orders', partition: 0, start: 1, end: 3 }])
  })

  async function filled(sizes: readonly number[], time = (index: number) => index): Promise<MemoryBroker> {
    const broker = new MemoryBroker('memory', { type: 'memory', partitions: 1 })
    onTestFinished(() => broker.close())
    await broker.createTopics([{ topic: 'orders', partitions: sizes.length }])
    for (const [partition, size] of sizes.entries())
      for (let index = 0; index < size; index++)
        await broker.produce({ topic: 'orders', partition, key: null, value: Buffer.from('{}'), headers: {}, timestamp: time(index) })
    return broker
  }
})

test('router backtest reads the messages of the `router dev` that runs', async () => {
  const { root, write } = await makeProject({ 'routes/shop.yaml': shop() })
  const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0'], { cwd: root })
  await dev.says(/Edits apply on save/)
  const old = await makeProject({ 'routes/shop.yaml': shop() })
  for (const total of [60, 120]) await router(['publish', 'orders', 'order.created', JSON.stringify({ total, user_id: 7 })], { cwd: root })
  await write('routes/shop.yaml', shop('orders, other').replace('gte: 100', 'gte: 50'))

  const { code, stdout, stderr } = await router(['backtest', '--against', old.root, '--format', 'json'], { cwd: root })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toMatchObject({
    topics: expect.arrayContaining(['orders']),
    messages: 2,
    changed: 1,
    outputs: { broadcast: { before: 1, after: 2 } },
    routes: [
      { route: 'shop/large', differences: [{ kind: 'taken', messages: 1, examples: [{ topic: 'orders', event: 'order.created' }] }] },
    ],
  })
  const last = await router(['backtest', '--against', old.root, '--last', '1'], { cwd: root })
  expect(last.stdout).toMatch(/^1 message of /)
  const missing = await router(['backtest', '--against', old.root, '--topic', 'nothing'], { cwd: root })
  expect(missing.stdout).toContain('note: the topic nothing does not exist at `router dev`')
})

describeWithKafka('router backtest', () => {
  const routerYaml = `name: shop\nbroker: kafka\nbrokers: { kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}" } }\nserver: { apps: [{ id: a, key: k, secret: not-a-secret }] }\n`

  test('shows what an edit would have done to the messages of a real topic since the last commit', async () => {
    const topic = uniqueName('backtest')
    const { root, write } = await makeProject({ 'router.yaml': routerYaml, 'routes/shop.yaml': shop(topic) })
    const git = (...args: string[]) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: root })
    git('init', '-q')
    git('add', '.')
    git('commit', '-q', '-m', 'first')
    for (const total of [60, 120])
      await router(['publish', topic, 'order.created', JSON.stringify({ total, user_id: 7 }), '--broker', 'kafka'], { cwd: root })
    await write('routes/shop.yaml', shop(topic).replace('gte: 100', 'gte: 50'))

    const { code, stdout, stderr } = await router(['backtest', '--format', 'json'], { cwd: root })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      topics: [topic],
      messages: 2,
      changed: 1,
      outputs: { broadcast: { before: 1, after: 2 } },
      routes: [{ route: 'shop/large', differences: [{ kind: 'taken', messages: 1 }] }],
    })

    await write('routes/shop.yaml', shop(topic).replace('{{data.user_id}}"\n  paid', '{{data.nobody}}"\n  paid'))
    const broken = await router(['backtest', '--since', '1h', '--topic', topic], { cwd: root })
    expect(broken.stdout).toContain('cannot render an action: 1 message')
    expect(broken.code).toBe(1)
  })

  test('says which broker keeps no messages, and which revision there is not', async () => {
    const { root } = await makeProject({ 'routes/shop.yaml': shop() })
    const memory = await router(['backtest', '--against', '.'], { cwd: root })
    expect(memory.stderr).toMatch(
      /^error: no past messages at the broker \w+: it lives inside the router\n.*start `router dev` in another terminal/,
    )
    const revision = await router(['backtest'], { cwd: root })
    expect(revision.stderr).toMatch(/^error: HEAD is neither a folder nor a git revision/)
    expect([memory.code, revision.code]).toEqual([2, 2])
  })
})
