import Pusher from 'pusher'
import { expect, test } from 'vitest'
import { app, connectedClient, startServer } from './harness.ts'

function pusherServer(port: number): Pusher {
  return new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port), useTLS: false })
}

async function get(pusher: Pusher, path: string, params: Record<string, string> = {}): Promise<unknown> {
  return await (await pusher.get({ path, params })).json()
}

test('a batch reaches each channel, each with its own exclusion', async () => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of [first, second]) await client.subscribe('a')
  const response = await pusherServer(port).triggerBatch([
    { channel: 'a', name: 'one', data: { n: 1 }, socket_id: await first.socketId() },
    { channel: 'a', name: 'two', data: 'text' },
  ])
  expect(await response.json()).toEqual({})
  await Promise.all([first.event('two'), second.event('two')])
  expect(first.received.some(({ event }) => event === 'one')).toBe(false)
  expect(second.received.map(({ event }) => event).slice(-2)).toEqual(['one', 'two'])
})

test('a batch with info answers for each event', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.join('presence-room', { user_id: 'ada' })
  const batch = [
    { channel: 'presence-room', name: 'e', data: '1', info: 'user_count,subscription_count' },
    { channel: 'empty', name: 'e', data: '1' },
  ]
  expect(await (await pusherServer(port).triggerBatch(batch)).json()).toEqual({ batch: [{ user_count: 1, subscription_count: 1 }, {}] })
})

const fine = { channel: 'a', name: 'e', data: '{}' }
test.each([
  ['no batch', {}, 400],
  ['a batch that is no list', { batch: fine }, 400],
  ['an empty batch', { batch: [] }, 400],
  ['eleven events', { batch: Array.from({ length: 11 }, () => fine) }, 400],
  ['an event that is none', { batch: [fine, null] }, 400],
  ['an event without a channel', { batch: [fine, { name: 'e', data: '{}' }] }, 400],
  ['an illegal channel', { batch: [fine, { ...fine, channel: 'a b' }] }, 400],
  ['too much data in one', { batch: [fine, { ...fine, data: 'x'.repeat(10_241) }] }, 413],
])('%s is refused as a whole', async (_what, body, status) => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('a')
  // @ts-expect-error The package's types ask for text; its code turns whatever it gets into JSON.
  await expect(pusherServer(port).post({ path: '/batch_events', body })).rejects.toMatchObject({ status })
  expect(server.stats().broadcasts).toBe(0)
})

test('trigger with info tells counts; a channel that has none of a kind leaves it out', async () => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of [first, second]) await client.join('presence-room', { user_id: 'ada' })
  const response = await pusherServer(port).trigger(['a', 'presence-room', 'presence-empty'], 'e', 1, {
    info: 'user_count,subscription_count',
  })
  expect(await response.json()).toEqual({
    channels: {
      a: { subscription_count: 0 },
      'presence-room': { user_count: 1, subscription_count: 2 },
      'presence-empty': { user_count: 0, subscription_count: 0 },
    },
  })
})

test('channels lists the occupied ones, by prefix and with info', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.signIn({ id: 'ada' })
  await client.subscribe('news')
  await client.subscribe('__proto__')
  await client.join('presence-room', { user_id: 'ada' })
  await client.join('presence-hall', { user_id: 'ada' })
  const pusher = pusherServer(port)
  expect(JSON.stringify(await get(pusher, '/channels'))).toBe(
    '{"channels":{"news":{},"__proto__":{},"presence-room":{},"presence-hall":{}}}',
  )
  expect(await get(pusher, '/channels', { filter_by_prefix: 'presence-r', info: 'user_count' })).toEqual({
    channels: { 'presence-room': { user_count: 1 } },
  })
  expect(await get(pusher, '/channels', { filter_by_prefix: 'news', info: 'subscription_count' })).toEqual({
    channels: { news: { subscription_count: 1 } },
  })
})

test('a channel tells whether it is occupied, and what it is asked for', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.join('presence-room', { user_id: 'ada' })
  server.hub.broadcast(app.id, 'cache-news', 'headline', { text: 'first' })
  const pusher = pusherServer(port)
  expect(await get(pusher, '/channels/empty')).toEqual({ occupied: false })
  expect(await get(pusher, '/channels/presence-room', { info: 'user_count,subscription_count' })).toEqual({
    occupied: true,
    user_count: 1,
    subscription_count: 1,
  })
  expect(await get(pusher, '/channels/cache-news', { info: 'cache' })).toEqual({
    occupied: false,
    cache: { data: '{"text":"first"}', ttl: 1_800 },
  })
  expect(await get(pusher, '/channels/cache-other', { info: 'cache' })).toEqual({ occupied: false, cache: null })
})

test('users lists the members of a presence channel, each once', async () => {
  const { port } = await startServer()
  for (const user_id of ['ada', 'ada', 7]) await (await connectedClient(port)).join('presence-room', { user_id })
  const pusher = pusherServer(port)
  expect(await get(pusher, '/channels/presence-room/users')).toEqual({ users: [{ id: 'ada' }, { id: '7' }] })
  expect(await get(pusher, '/channels/presence-empty/users')).toEqual({ users: [] })
})

test.each([
  ['/channels/news/users', {}],
  ['/channels/news', { info: 'user_count' }],
  ['/channels/news', { info: 'cache' }],
  ['/channels/news', { info: 'password' }],
  ['/channels/a%20b', {}],
  ['/channels/%zz', {}],
  ['/channels', { info: 'user_count' }],
  ['/channels', { info: 'user_count', filter_by_prefix: 'pres' }],
])('GET %s with %j is a 400', async (path, params) => {
  const { server, port } = await startServer()
  await expect(pusherServer(port).get({ path, params })).rejects.toMatchObject({ status: 400 })
  expect(server.stats().refusals).toEqual({ 'api-request': 1 })
})

test.each(['/channels', '/channels/a', '/channels/presence-a/users'])('GET %s needs a signature', async path => {
  const { http } = await startServer()
  expect((await fetch(`${http}/apps/shop${path}`)).status).toBe(401)
})

test('terminating nobody is fine, and needs a signature', async () => {
  const { port, http } = await startServer()
  expect((await pusherServer(port).terminateUserConnections('nobody')).status).toBe(200)
  expect((await fetch(`${http}/apps/shop/users/ada/terminate_connections`, { method: 'POST' })).status).toBe(401)
})
