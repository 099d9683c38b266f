import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { order, ordersYaml, routerYaml, start, subscriberOf } from '../support/running-router.ts'

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

test('a message that waits for a retry goes through as soon as its handler is mended, before those behind it', async () => {
  const { router, project, nextReload } = await start({
    'routes/orders.yaml': `topics: orders
routes:
  created:
    event: order.created
    retry: { attempts: 5, delay: 1h, maxDelay: 1h }
    actions:
      - invoke: ../handlers/receipt.ts
      - broadcast: { channel: "user.{{data.user_id}}", data: { note: "{{data.note}}" } }
`,
    'handlers/receipt.ts': "export default () => { throw new Error('broken') }\n",
  })
  const subscriber = await subscriberOf(router, 'user.7')
  await router.publish(order(7, 'first'))
  await router.publish(order(7, 'second'))
  const metrics = async () => (await fetch(`http://127.0.0.1:${router.address.port}/metrics`)).text()
  await expect.poll(metrics).toMatch(/^signalbox_retries_total\{[^}]*\} 1$/m)
  await project.write('handlers/receipt.ts', 'export default () => {}\n')
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  expect((await subscriber.atLeast(2)).map(({ data }) => data)).toEqual([{ note: 'first' }, { note: 'second' }])
})

test('what cannot change without a restart is said, and the rest of the edit applies', async () => {
  const { project, nextReload } = await start({ 'routes/orders.yaml': ordersYaml })
  await project.write('router.yaml', routerYaml.replace('name: shop', 'name: store'))
  const result = await nextReload()
  expect(result).toMatchObject({ kind: 'applied' })
  expect(result.kind === 'applied' && result.summary).toContain('router.yaml: name changed, which takes a restart')
})

test('shutdown.rebalance applies on save', { timeout: 60_000 }, async () => {
  const shutdown = (rebalance: string) => `${routerYaml}shutdown: { rebalance: ${rebalance} }\n`
  const routes = ordersYaml.replace('- broadcast: "user.{{data.user_id}}"', '- invoke: ../handlers/hung.ts\n        timeout: 10m')
  const { router, project, nextReload } = await start({
    'router.yaml': shutdown('10m'),
    'routes/orders.yaml': routes,
    'handlers/hung.ts':
      "import { writeFileSync } from 'node:fs'\nimport { join } from 'node:path'\nexport default () => { writeFileSync(join(import.meta.dirname, '../.began'), ''); return new Promise(() => {}) }\n",
  })
  await router.publish(order(7))
  await expect.poll(() => existsSync(join(project.root, '.began')), { timeout: 20_000 }).toBe(true)
  await project.write('router.yaml', shutdown('50ms'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await project.write('routes/orders.yaml', routes.replace('topics: orders', 'topics: [orders, refunds]'))
  expect(await nextReload()).toMatchObject({ kind: 'applied', summary: ['orders: its consumer restarts (topics)'] })
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
