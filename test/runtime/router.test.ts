import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import type { ReloadResult, RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import { StartError } from '../../src/runtime/start-error.ts'
import { makeProject, type TestProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routerYaml = `name: shop
server:
  port: 0
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
`
const ordersYaml = `topics: orders
routes:
  created:
    event: order.created
    actions:
      - broadcast: "user.{{data.user_id}}"
`

interface Running {
  readonly router: RunningRouter
  readonly project: TestProject
  /** The next edit's result, in order; results are kept until asked for. */
  nextReload(): Promise<ReloadResult>
}

async function start(files: Readonly<Record<string, string>>, options: Partial<RouterOptions> = {}): Promise<Running> {
  const project = await makeProject({ 'router.yaml': routerYaml, ...files })
  const results: ReloadResult[] = []
  let wake = () => {}
  const router = await startRouter({
    root: project.root,
    mode: 'dev',
    env: {},
    log: pino({ level: 'silent' }),
    onReload: result => {
      results.push(result)
      wake()
    },
    ...options,
  })
  onTestFinished(() => router.stop())
  await router.ready
  const nextReload = async () => {
    for (;;) {
      const result = results.shift()
      if (result !== undefined) return result
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  return { router, project, nextReload }
}

async function subscriberOf(router: RunningRouter, ...channels: readonly string[]): Promise<Subscriber> {
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe(...channels)
  return subscriber
}

function order(user: number, note = '') {
  return { topic: 'orders', event: 'order.created', key: String(user), data: { user_id: user, note } }
}

test('an event of a topic reaches the pusher-js client that is subscribed to its channel', async () => {
  const { router } = await start({ 'routes/orders.yaml': ordersYaml })
  const subscriber = await subscriberOf(router, 'user.7')
  await router.publish(order(8))
  await router.publish(order(7, 'first'))
  await router.publish(order(7, 'second'))
  expect(await subscriber.atLeast(2)).toEqual([
    { channel: 'user.7', event: 'order.created', data: { user_id: 7, note: 'first' } },
    { channel: 'user.7', event: 'order.created', data: { user_id: 7, note: 'second' } },
  ])
})

test('an edit changes what the next event does, and the socket stays', async () => {
  const { router, project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml })
  const subscriber = await subscriberOf(router, 'user.7', 'buyer.7')
  const socketId = subscriber.pusher.connection.socket_id
  await project.write('routes/orders.yaml', ordersYaml.replace('user.', 'buyer.'))
  expect(await nextReload()).toMatchObject({ kind: 'applied', generation: 2, summary: ['orders: 1 route, no restart'] })
  await router.publish(order(7))
  expect(await subscriber.atLeast(1)).toMatchObject([{ channel: 'buyer.7' }])
  expect(subscriber.pusher.connection.socket_id).toBe(socketId)
})

test('a broken edit changes nothing, says where it is broken, and mending it says so', async () => {
  const { router, project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml })
  const subscriber = await subscriberOf(router, 'user.7')
  await project.write('routes/orders.yaml', ordersYaml.replace('broadcast:', 'brodcast:'))
  const rejected = await nextReload()
  expect(rejected).toMatchObject({
    kind: 'rejected',
    problems: [{ code: 'schema-unknown-key', file: 'routes/orders.yaml', range: { start: { line: 6 } } }],
  })
  await router.publish(order(7))
  expect(await subscriber.atLeast(1)).toMatchObject([{ channel: 'user.7' }])
  await project.write('routes/orders.yaml', ordersYaml.replace('order.created', 'order.*'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
})

test('new, deleted and emptied route files: the first two are followed, an emptied one is broken', async () => {
  const { router, project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml })
  await project.write('routes/shop/news.yaml', 'topics: news\nunmatched:\n  actions:\n    - broadcast: public.news\n')
  expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['shop/news: new, group shop.shop.news'] })
  const subscriber = await subscriberOf(router, 'public.news')
  await expect
    .poll(async () => (await fetch(`http://127.0.0.1:${router.address.port}/readyz`)).json())
    .toMatchObject({
      subscriptions: [{ joined: true }, { joined: true }],
    })
  await router.publish({ topic: 'news', event: 'headline', data: { text: 'hello' } })
  expect(await subscriber.atLeast(1)).toEqual([{ channel: 'public.news', event: 'headline', data: { text: 'hello' } }])
  await project.write('routes/shop/news.yaml', '')
  expect(await nextReload()).toMatchObject({ kind: 'rejected', problems: [{ code: 'file-empty' }] })
  await project.remove('routes/shop/news.yaml')
  expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['shop/news: gone, its consumer stops'] })
})

test('a change of topics restarts that consumer only', async () => {
  const other = ordersYaml.replace('topics: orders', 'topics: payments')
  const { project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml, 'routes/payments.yaml': other })
  await project.write('routes/payments.yaml', other.replace('payments', '[payments, refunds]'))
  expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['payments: its consumer restarts (topics)'] })
})

test('a handler, its dependency and its mending are taken up; what it returns is at hand in later actions', async () => {
  const { router, project, nextReload } = await start({
    'routes/orders.yaml': `topics: orders
routes:
  created:
    event: order.created
    actions:
      - invoke: ../handlers/receipt.ts
        as: receipt
      - broadcast: { channel: "user.{{data.user_id}}", event: receipt, data: { url: "{{results.receipt.url}}" } }
`,
    'handlers/receipt.ts': `import { defineHandler } from 'signalbox'
import { base } from './base.ts'
export default defineHandler<{ user_id: number }>(async event => ({ url: base + event.data.user_id }))
`,
    'handlers/base.ts': "export const base: string = 'one/'\n",
  })
  const subscriber = await subscriberOf(router, 'user.7')
  await router.publish(order(7))
  await subscriber.atLeast(1)
  await project.write('handlers/base.ts', "export const base: string = 'two/'\n")
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await router.publish(order(7))
  await subscriber.atLeast(2)
  await project.write('handlers/receipt.ts', 'export default defineHandler(\n')
  expect(await nextReload()).toMatchObject({
    kind: 'rejected',
    problems: [{ code: 'handler-invalid', file: 'routes/orders.yaml', range: { start: { line: 6 } } }],
  })
  await router.publish(order(7))
  expect((await subscriber.atLeast(3)).map(({ data }) => data)).toEqual([{ url: 'one/7' }, { url: 'two/7' }, { url: 'two/7' }])
})

test('what cannot change without a restart is said, and the rest of the edit applies', async () => {
  const { project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml })
  await project.write('router.yaml', routerYaml.replace('name: shop', 'name: store'))
  const result = await nextReload()
  expect(result).toMatchObject({ kind: 'applied' })
  expect(result.kind === 'applied' && result.summary).toContain('router.yaml: name changed, which takes a restart')
})

test('a hundred saves in a second end in the last one', async () => {
  const { router, project } = await start({ 'routes/orders.yaml': ordersYaml })
  for (let save = 1; save <= 100; save++) {
    await project.write('routes/orders.yaml', save % 7 === 0 ? 'topics: [' : ordersYaml.replace('user.', `save${save}.`))
    await sleep(5)
  }
  const subscriber = await subscriberOf(router, 'save100.7')
  await expect
    .poll(async () => {
      await router.publish(order(7))
      return subscriber.received.length
    })
    .toBeGreaterThan(0)
})

test('a project with problems does not start, and says every one of them', async () => {
  const project = await makeProject({ 'routes/orders.yaml': 'topics: orders\nrouts: {}\n', 'routes/b.yaml': 'topics: 5\n' })
  const started = startRouter({ root: project.root, mode: 'dev', env: {}, log: pino({ level: 'silent' }) })
  await expect(started).rejects.toSatisfy(error => error instanceof StartError && error.code === 'problems' && error.problems.length === 3)
})

test('a port in use is said with the key to change', async () => {
  const { router } = await start({ 'routes/orders.yaml': ordersYaml })
  const project = await makeProject({ 'routes/orders.yaml': ordersYaml })
  const second = startRouter({ root: project.root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), port: router.address.port })
  await expect(second).rejects.toMatchObject({ code: 'port-in-use', hint: expect.stringContaining('port') })
})

test('maxMessages stops after exactly that many, stopWhenEmpty once everything is read', async () => {
  const { router } = await start({ 'routes/orders.yaml': ordersYaml }, { maxMessages: 2 })
  const subscriber = await subscriberOf(router, 'user.7')
  for (let i = 0; i < 5; i++) await router.publish(order(7, String(i)))
  await router.done
  expect(subscriber.received).toHaveLength(2)
  const second = await start({ 'routes/orders.yaml': ordersYaml }, { stopWhenEmpty: true })
  await second.router.done
})

test('maxMessages is one number for all subscriptions together', async () => {
  const route = (topic: string) => `topics: ${topic}\nunmatched: { actions: [{ broadcast: public.all }] }\n`
  const files = { 'routes/a.yaml': route('a'), 'routes/b.yaml': route('b'), 'routes/c.yaml': route('c') }
  const { router } = await start(files, { maxMessages: 5 })
  const subscriber = await subscriberOf(router, 'public.all')
  const topics = ['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']
  // Those after the fifth may find the broker closed.
  await Promise.allSettled(topics.map(topic => router.publish({ topic, event: 'e', data: {} })))
  await router.done
  expect(subscriber.received).toHaveLength(5)
})

test('stop lets a running handler end, and readyz is red from its start', async () => {
  const { router } = await start({
    'routes/orders.yaml': ordersYaml.replace(
      '- broadcast: "user.{{data.user_id}}"',
      '- invoke: ../handlers/slow.mjs\n      - broadcast: "user.{{data.user_id}}"',
    ),
    'handlers/slow.mjs': 'export default async () => { await new Promise(resolve => setTimeout(resolve, 300)) }\n',
  })
  const subscriber = await subscriberOf(router, 'user.7')
  await router.publish(order(7))
  await expect
    .poll(async () => (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text())
    .toContain('signalbox_messages_received_total{subscription="orders"} 1')
  await router.stop()
  expect(subscriber.received).toHaveLength(1)
})
