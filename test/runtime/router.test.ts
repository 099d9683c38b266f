import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import { StartError } from '../../src/runtime/start-error.ts'
import { makeProject } from '../support/project.ts'
import { order, ordersYaml, routerYaml, start, subscriberOf } from '../support/running-router.ts'

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

test('a signal stops a router, and one that aborts before leaves nothing behind', async () => {
  const stop = new AbortController()
  const { router } = await start({ 'routes/orders.yaml': ordersYaml }, { signal: stop.signal })
  stop.abort()
  expect(await router.done).toEqual({ cut: [] })
  await expect(fetch(`http://127.0.0.1:${router.address.port}/healthz`)).rejects.toThrow()
  const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/orders.yaml': ordersYaml })
  const late = startRouter({ root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), signal: AbortSignal.abort(new Error('too late')) })
  await expect(late).rejects.toThrow('too late')
})

test('a signal ends a start whose setup() hangs, and what was set up is torn down', async () => {
  const handler = (setup: string) => `import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
const trace = what => appendFileSync(join(import.meta.dirname, '..', '.trace'), what + ' ')
export const setup = () => { trace('setup'); ${setup} }
export const teardown = () => trace('teardown')
export default () => {}
`
  const { root } = await makeProject({
    'router.yaml': routerYaml,
    'routes/orders.yaml': ordersYaml.replace(
      '- broadcast: "user.{{data.user_id}}"',
      '- invoke: ../handlers/ready.mjs\n      - invoke: ../handlers/hangs.mjs',
    ),
    'handlers/ready.mjs': handler(''),
    'handlers/hangs.mjs': handler('return new Promise(() => {})'),
  })
  const stop = new AbortController()
  const starting = startRouter({ root, mode: 'dev', env: {}, log: pino({ level: 'silent' }), signal: stop.signal })
  starting.catch(() => {})
  const trace = () => readFile(join(root, '.trace'), 'utf8')
  await expect.poll(() => trace().catch(() => ''), { timeout: 20_000 }).toBe('setup setup ')
  stop.abort(new Error('no longer'))
  await expect(starting).rejects.toThrow('no longer')
  expect(await trace()).toBe('setup setup teardown ')
})
