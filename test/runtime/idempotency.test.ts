import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import type { RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import { LevelStore } from '../../src/stores/level-store.ts'
import { makeProject, type TestProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routerYaml = (idempotency: string) => `name: shop
server: { port: 0, apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }
${idempotency === '' ? '' : `idempotency: ${idempotency}\n`}`

const ordersYaml = (rule: string) => `topics: orders
routes:
  created:
    event: order.created
${rule}    actions:
      - broadcast: orders
`
const guarded = ordersYaml('    idempotency: true\n')

async function start(project: TestProject, options: Partial<RouterOptions> = {}): Promise<RunningRouter> {
  const router = await startRouter({ root: project.root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), watch: false, ...options })
  onTestFinished(() => router.stop())
  await router.ready
  return router
}

function order(id: string) {
  return { topic: 'orders', event: 'order.created', id, key: 'one', data: { id } }
}

test.each(['memory', 'level'])(
  'with the store %s an event that is sent twice is broadcast once, and counted as a duplicate',
  async store => {
    const project = await makeProject({ 'router.yaml': routerYaml(`{ store: ${store} }`), 'routes/orders.yaml': guarded })
    const router = await start(project)
    const subscriber = new Subscriber(router.address.port, 'shop-key')
    await subscriber.subscribe('orders')
    for (const id of ['a', 'a', 'b', 'a', 'last']) await router.publish(order(id))
    expect((await subscriber.atLeast(3)).map(({ data }) => data)).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'last' }])
    const metrics = await (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
    expect(metrics).toContain('signalbox_route_outcomes_total{subscription="orders",route="orders/created",outcome="duplicate"} 2')
  },
)

test('level remembers over a restart', async () => {
  const project = await makeProject({ 'router.yaml': routerYaml(''), 'routes/orders.yaml': guarded })
  const first = await start(project)
  const before = new Subscriber(first.address.port, 'shop-key')
  await before.subscribe('orders')
  await first.publish(order('a'))
  await before.atLeast(1)
  await first.stop()
  const second = await start(project)
  const after = new Subscriber(second.address.port, 'shop-key')
  await after.subscribe('orders')
  await second.publish(order('a'))
  await second.publish(order('b'))
  expect((await after.atLeast(1)).map(({ data }) => data)).toEqual([{ id: 'b' }])
})

test('a store that another process has keeps a router from starting, with what to do; routes that need none do not care', async () => {
  const project = await makeProject({ 'router.yaml': routerYaml(''), 'routes/orders.yaml': guarded })
  const other = await LevelStore.open({ folder: `${project.root}/.signalbox` })
  onTestFinished(() => other.close())
  await expect(start(project)).rejects.toMatchObject({
    name: 'StartError',
    code: 'store',
    message: expect.stringContaining('is used by another process'),
    hint: expect.stringContaining('idempotency.path'),
  })
  await project.write('routes/orders.yaml', ordersYaml(''))
  await start(project)
})

test('an edit opens the store when a route first needs it; where that cannot be, the edit is refused and the old routes go on', async () => {
  const project = await makeProject({ 'router.yaml': routerYaml(''), 'routes/orders.yaml': ordersYaml('') })
  const router = await start(project)
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe('orders')
  const other = await LevelStore.open({ folder: `${project.root}/.signalbox` })
  await project.write('routes/orders.yaml', guarded)
  expect(await router.reload()).toMatchObject({ kind: 'rejected', problems: [{ code: 'idempotency-store', file: 'router.yaml' }] })
  for (const id of ['a', 'a']) await router.publish(order(id))
  expect(await subscriber.atLeast(2)).toHaveLength(2)
  await other.close()
  expect(await router.reload()).toMatchObject({ kind: 'applied' })
  for (const id of ['c', 'c', 'd']) await router.publish(order(id))
  expect((await subscriber.atLeast(4)).map(({ data }) => data)).toEqual([{ id: 'a' }, { id: 'a' }, { id: 'c' }, { id: 'd' }])
})

test('another store takes a restart, and the router says so; another ttl does not', async () => {
  const project = await makeProject({ 'router.yaml': routerYaml('{ store: memory }'), 'routes/orders.yaml': guarded })
  const router = await start(project)
  await project.write('router.yaml', routerYaml('{ store: level }'))
  expect(await router.reload()).toMatchObject({
    summary: expect.arrayContaining(['router.yaml: idempotency changed, which takes a restart']),
  })
  await project.write('router.yaml', routerYaml('{ store: memory, ttl: 1h }'))
  const reloaded = await router.reload()
  expect(reloaded.kind === 'applied' ? reloaded.summary.join() : reloaded.kind).not.toContain('which takes a restart')
})
