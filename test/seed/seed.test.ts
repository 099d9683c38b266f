import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PGlite } from '@electric-sql/pglite'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createRouter } from '../../src/index.ts'
import { router as runCommand } from '../cli/router-command.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'
import { Topics } from './kafka-topics.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const name = uniqueName('seed')
const topics = new Topics()
/** Names of this run: the broker outlives it. */
const topic = (of: string) => `${name}.${of}`

function routerYaml(port: number, app = name): string {
  return `name: ${app}
broker: kafka
brokers:
  local: { type: memory }
  kafka:
    type: kafka
    brokers: "${kafkaBrokers.join(',')}"
    consumer: { fetch.min.bytes: 1, fetch.max.wait.ms: 250, max.partition.fetch.bytes: 262144, session.timeout.ms: 6000 }
server:
  port: ${port}
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
`
}

/** An example's route file on topics of this run. */
async function exampleRoutes(file: string, names: readonly string[]): Promise<string> {
  const text = await readFile(join(repository, 'examples', file), 'utf8')
  return names.reduce(
    (routes, of) => routes.replaceAll(new RegExp(`(?<=[ [])${of.replace('.', '\\.')}(?=[\\],\\n])`, 'g'), topic(of)),
    text,
  )
}

const flaky = `import { appendFile } from 'node:fs/promises'
export const fails = async (event, ctx) => {
  await appendFile(process.env.LEDGER, JSON.stringify({ n: event.data.n, attempt: ctx.attempt, at: Date.now() }) + '\\n')
  if (event.data.fails) throw new Error('the service is away')
}
export const slow = async event => {
  await new Promise(resolve => setTimeout(resolve, 40))
  await appendFile(process.env.LEDGER, JSON.stringify({ slow: event.data.n }) + '\\n')
}
`

// Once, at the end: a client of kafkajs that is connected again right after it was closed may take the closing connection for a good one.
afterAll(() => topics.close())

describeWithKafka("the seed's rows, in one router on Kafka", () => {
  const cleanUps: (() => Promise<unknown>)[] = []
  let port = 0
  let folder = ''
  let running: RouterProcess

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'signalbox-seed-'))
    cleanUps.push(() => rm(folder, { recursive: true, force: true }))
    port = await freePort()
    await topics.create(
      ...['plain', 'quick', 'patient', 'realtime', 'orders', 'orders.payments', 'orders.dlq', 'calls', 'calls.dlq', 'slow'].map(topic),
    )
    const passes = (of: string, batch: string) =>
      `topics: ${topic(of)}\nenvelope: event\nbatch: ${batch}\ndefaults: { deadLetter: none, onFailure: skip }\nunmatched: { actions: [{ broadcast: ${of} }] }\n`
    const calls = (of: string, handler: string) =>
      `topics: ${topic(of)}\nroutes:\n  call:\n    event: call\n    retry: { attempts: 3, backoff: exponential, delay: 50ms, jitter: none }\n    deadLetter: ${topic('calls.dlq')}\n    actions:\n      - invoke: ../handlers/flaky.mjs#${handler}\n      - broadcast: ${of}\n`
    const files = {
      'router.yaml': routerYaml(port),
      'routes/plain.yaml': passes('plain', '{ size: 100, timeout: 1s }'),
      'routes/quick.yaml': passes('quick', '{ size: 10, timeout: 100ms }'),
      'routes/patient.yaml': passes('patient', '{ size: 500, timeout: 5s }'),
      'routes/realtime.yaml': await exampleRoutes('switch-consumer/routes/realtime.yaml', ['realtime']),
      'routes/orders.yaml': await exampleRoutes('orders-and-payments/routes/orders.yaml', ['orders', 'orders.payments', 'orders.dlq']),
      'routes/calls.yaml': calls('calls', 'fails'),
      'routes/slow.yaml': calls('slow', 'slow'),
      'handlers/flaky.mjs': flaky,
    }
    for (const sub of ['routes', 'handlers']) await mkdir(join(folder, sub))
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
    for (const example of ['switch-consumer', 'orders-and-payments'])
      await cp(join(repository, 'examples', example, 'handlers'), join(folder, 'handlers'), { recursive: true })
    await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'))
    const env = { LEDGER: join(folder, 'ledger'), ORDERS_DATABASE: join(folder, 'database') }
    running = new RouterProcess(['run'], { cwd: folder, env, cleanUp: end => cleanUps.unshift(end) })
    await Promise.race([whenReady(port), running.exited.then(() => Promise.reject(new Error(running.lines.join('\n'))))])
  })

  afterAll(async () => {
    for (const cleanUp of cleanUps) await cleanUp()
  })

  async function listen(...channels: readonly string[]): Promise<Subscriber> {
    const subscriber = new Subscriber(port, 'shop-key')
    await subscriber.subscribe(...channels)
    return subscriber
  }

  async function ledger(): Promise<readonly Readonly<Record<string, number>>[]> {
    const text = await readFile(join(folder, 'ledger'), 'utf8').catch(() => '')
    return text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line))
  }

  test('Kafka topic -> poll -> batch -> process -> broadcast -> WebSocket clients', async () => {
    const subscriber = await listen('plain')
    await topics.sendEvents(topic('plain'), { event: 'a', data: { n: 1 } }, { event: 'b', data: { n: 2 } })
    expect(await subscriber.atLeast(2)).toEqual([
      { channel: 'plain', event: 'a', data: { n: 1 } },
      { channel: 'plain', event: 'b', data: { n: 2 } },
    ])
  })

  test('a partial batch does not wait to be full, however long a quiet topic is waited on', async () => {
    const subscriber = await listen('patient')
    for (const n of [1, 2, 3]) {
      await topics.sendEvents(topic('patient'), { event: 'e', data: n })
      await subscriber.atLeast(n)
    }
    expect(subscriber.received.map(({ data }) => data)).toEqual([1, 2, 3])
  })

  test('message { id, event, data }: without event or data it is not broadcast, and invalid messages are logged and survived', async () => {
    const subscriber = await listen('plain')
    await topics.sendEvents(topic('plain'), { data: { no: 'event' } }, { event: 'no.data', data: null })
    await topics.send(topic('plain'), { value: 'not json {' }, { value: null }, { value: '[1, 2]' })
    await topics.sendEvents(topic('plain'), { event: 'after', data: {} })
    expect(await subscriber.atLeast(1)).toEqual([{ channel: 'plain', event: 'after', data: {} }])
    expect(JSON.parse(await running.line('"error":"not-json"'))).toMatchObject({ topic: topic('plain'), offset: 4 })
  })

  test('custom consumer: a switch on the event, with a default', async () => {
    const subscriber = await listen('admin.orders', 'user.7', topic('realtime'))
    await topics.sendEvents(
      topic('realtime'),
      { event: 'order.created', data: { order_id: 1, items: [{ sku: 'tea', quantity: 2 }] }, key: 'one' },
      { event: 'user.updated', data: { id: 7, name: 'Ada' }, key: 'one' },
      { event: 'anything.else', data: { n: 3 }, key: 'one' },
    )
    expect(await subscriber.atLeast(3)).toMatchObject([
      { channel: 'admin.orders', event: 'order.created', data: { order: 1, reserved: 2 } },
      { channel: 'user.7', event: 'profile.updated', data: { id: 7, name: 'Ada' } },
      { channel: topic('realtime'), event: 'anything.else', data: { n: 3 } },
    ])
  })

  test('database consumer: the row is updated, then its user is told', async () => {
    const subscriber = await listen('user.8')
    await topics.sendEvents(topic('orders'), {
      event: 'order.created',
      data: { order_id: 5, user_id: 8, status: 'new', total: 90 },
      key: '5',
    })
    await subscriber.atLeast(1)
    await topics.sendEvents(topic('orders.payments'), {
      event: 'payment.completed',
      data: { payment_id: 'p1', order_id: 5, user_id: 8, amount: 90 },
      key: '5',
    })
    expect(await subscriber.atLeast(2)).toMatchObject([
      { event: 'order.updated', data: { order_id: 5, status: 'new', total: 90 } },
      { event: 'payment.completed', data: { order_id: 5, paid: 90 } },
    ])
  })

  test('at most 3 tries with growing waits; what still fails is kept', async () => {
    const subscriber = await listen('calls')
    const failing = JSON.stringify({ id: 'x', event: 'call', data: { n: 1, fails: true } })
    await topics.send(topic('calls'), { key: 'k', value: failing })
    await topics.sendEvents(topic('calls'), { event: 'call', data: { n: 2 }, key: 'k' })
    expect(await subscriber.atLeast(1)).toMatchObject([{ data: { n: 2 } }])
    const tries = (await ledger()).filter(({ n }) => n !== undefined)
    expect(tries.map(({ n, attempt }) => [n, attempt])).toEqual([
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
    ])
    const [first = 0, second = 0, third = 0] = tries.map(({ at }) => at)
    // Timers may fire a millisecond early by the wall clock.
    expect(second - first).toBeGreaterThanOrEqual(49)
    expect(third - second).toBeGreaterThanOrEqual(99)
    expect(await topics.read(topic('calls.dlq'), 1)).toEqual([failing])
  })

  test('tuning: small batches with short waits and large ones with long waits deliver the same, in order', async () => {
    const subscriber = await listen('quick', 'patient')
    const events = Array.from({ length: 40 }, (_, n) => ({ event: 'e', data: n, key: 'one' }))
    await Promise.all(['quick', 'patient'].map(of => topics.sendEvents(topic(of), ...events)))
    const received = await subscriber.atLeast(80)
    for (const of of ['quick', 'patient'])
      expect(received.filter(({ channel }) => channel === of).map(({ data }) => data)).toEqual(events.map(({ data }) => data))
  })

  test('consumer_config: Kafka properties by their names; one that is misspelt is refused with the right one', async () => {
    const { root } = await makeProject({
      'router.yaml': routerYaml(0).replace('fetch.min.bytes', 'fetch.min.byte'),
      'routes/a.yaml': 'topics: a\nunmatched: { actions: [{ broadcast: a }] }\n',
    })
    const { code, stdout } = await runCommand(['validate'], { cwd: root })
    expect(code).toBe(1)
    expect(stdout).toMatch(/router\.yaml:8:17: error: .*fetch\.min\.byte/)
    expect(stdout).toContain('fetch.min.bytes')
  })

  test('statistics every 1,000 messages: processed and errors', async () => {
    const subscriber = await listen('plain')
    await topics.sendEvents(topic('plain'), ...Array.from({ length: 1_200 }, (_, n) => ({ event: 'e', data: n, key: String(n % 7) })))
    await subscriber.atLeast(1_200)
    const line = await running.line('"msg":"statistics"')
    expect(JSON.parse(line)).toEqual(
      expect.objectContaining({
        processed: expect.any(Number),
        errors: expect.any(Number),
        perSecond: expect.any(Number),
        lag: expect.any(Number),
      }),
    )
    await expect
      .poll(() => running.lines.filter(text => text.includes('"msg":"statistics"')).map(text => JSON.parse(text)), { timeout: 15_000 })
      .toContainEqual(
        expect.objectContaining({ processed: expect.toSatisfy(count => count >= 1_200), errors: expect.toSatisfy(count => count >= 3) }),
      )
  })

  test('SIGTERM: what runs is finished and committed, then it stops', async () => {
    await topics.sendEvents(topic('slow'), ...Array.from({ length: 100 }, (_, n) => ({ event: 'call', data: { n }, key: 'k' })))
    await expect.poll(async () => (await ledger()).some(({ slow }) => slow !== undefined)).toBe(true)
    expect(await running.terminate()).toBe(0)
    const done = (await ledger()).flatMap(({ slow }) => slow ?? [])
    expect(done.length).toBeLessThan(100)
    expect(done).toEqual(Array.from({ length: done.length }, (_, n) => n))
    expect(await topics.committed(`${name}.slow`, topic('slow'))).toBe(done.length)
    const database = await PGlite.create(join(folder, 'database'))
    onTestFinished(() => database.close())
    expect((await database.query('select id, status, paid from orders')).rows).toEqual([{ id: 5, status: 'paid', paid: 90 }])
  })
})

describeWithKafka("the seed's commands", () => {
  test('realtime:kafka:consume --channels=user.1,user.2, with topics realtime_user_1', async () => {
    const port = await freePort()
    const { root } = await makeProject({ 'router.yaml': routerYaml(port) })
    const [one, two] = [`user.1-${name}`, `user.2-${name}`]
    const topicOf = (channel: string) => `realtime_${channel.replace('.', '_')}`
    await topics.create(topicOf(one), topicOf(two))
    const consume = new RouterProcess(['consume', `--channels=${one},${two}`, '--max-messages=4', '--timeout=100'], { cwd: root })
    await whenReady(port)
    const subscriber = new Subscriber(port, 'shop-key')
    await subscriber.subscribe(one, two)
    await topics.sendEvents(topicOf(one), { event: 'a', data: { n: 1 } })
    await subscriber.atLeast(1)
    await topics.send(topicOf(two), { value: 'not json' })
    await topics.sendEvents(topicOf(two), { event: 'b', data: { n: 2 } })
    await subscriber.atLeast(2)
    await topics.sendEvents(topicOf(one), { event: 'c', data: { n: 3 } })
    expect(await subscriber.atLeast(3)).toEqual([
      { channel: one, event: 'a', data: { n: 1 } },
      { channel: two, event: 'b', data: { n: 2 } },
      { channel: one, event: 'c', data: { n: 3 } },
    ])
    expect((await consume.exited).code).toBe(0)
    expect(JSON.parse(await consume.line('"msg":"statistics"'))).toMatchObject({ processed: 4, errors: 1 })
  })

  test('--broker=kafka --batch-size --timeout --max-messages --stop-when-empty', async () => {
    const app = uniqueName('flags')
    await topics.create(app, `${app}-2`)
    const route = (from: string) => `topics: ${from}\nfrom: earliest\nunmatched: { actions: [{ broadcast: public }] }\n`
    const { root } = await makeProject({
      'router.yaml': routerYaml(0, app).replace('broker: kafka', 'broker: local'),
      'routes/a.yaml': route(app),
      'routes/b.yaml': route(`${app}-2`),
    })
    const events = Array.from({ length: 20 }, (_, n) => ({ event: 'e', data: n }))
    for (const of of [app, `${app}-2`]) await topics.sendEvents(of, ...events)
    const flags = ['run', '--broker=kafka', '--batch-size=10', '--timeout=100', '--stop-when-empty']
    const limited = new RouterProcess([...flags, '--max-messages=27'], { cwd: root })
    expect((await limited.exited).code).toBe(0)
    expect(JSON.parse(await limited.line('"msg":"statistics"'))).toMatchObject({ processed: 27 })
    const committed = await Promise.all([topics.committed(`${app}.a`, app), topics.committed(`${app}.b`, `${app}-2`)])
    expect(committed[0] + committed[1]).toBe(27)
    const rest = new RouterProcess([...flags, '--max-messages=0'], { cwd: root })
    expect((await rest.exited).code).toBe(0)
    expect(JSON.parse(await rest.line('"msg":"statistics"'))).toMatchObject({ processed: 13, lag: 0 })
  })

  test('direct use from a service, without the command', async () => {
    const app = uniqueName('service')
    await topics.create(app)
    const { root } = await makeProject({
      'router.yaml': routerYaml(0, app),
      'routes/a.yaml': `topics: ${app}\nunmatched: { actions: [{ broadcast: public.a }] }\n`,
    })
    const router = await createRouter({ root, log: pino({ level: 'silent' }) })
    onTestFinished(() => router.stop())
    await router.ready
    const subscriber = new Subscriber(router.address.port, 'shop-key')
    await subscriber.subscribe('public.a')
    await router.publish({ topic: app, event: 'from.service', data: { n: 1 } })
    expect(await subscriber.atLeast(1)).toEqual([{ channel: 'public.a', event: 'from.service', data: { n: 1 } }])
  })
})
