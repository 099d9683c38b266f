import Pusher from 'pusher'
import { expect, onTestFinished, test } from 'vitest'
import { app, asks, connectedClient, startServer, until } from './harness.ts'

interface Stream {
  readonly status: number
  readonly headers: Headers
  /** The next event, parsed. */
  next(): Promise<{ event: string; channel?: string; data?: unknown }>
  nextOf(event: string): Promise<{ event: string; channel?: string; data?: unknown }>
  close(): void
}

async function open(http: string, query: string, headers: Record<string, string> = {}): Promise<Stream> {
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  const response = await fetch(`${http}/sse?${query}`, { headers, signal: ended.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<{ event: string }> => {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end !== -1) {
        const block = text.slice(0, end)
        text = text.slice(end + 2)
        if (block.startsWith('data: ')) return JSON.parse(block.slice(6))
        continue
      }
      const chunk = await reader?.read()
      if (chunk === undefined || chunk.done) throw new Error(`the stream ended: ${text}`)
      text += chunk.value
    }
  }
  const nextOf = async (event: string) => {
    for (;;) {
      const found = await next()
      if (found.event === event) return found
    }
  }
  return { status: response.status, headers: response.headers, next, nextOf, close: () => ended.abort() }
}

async function refusal(http: string, query: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${http}/sse?${query}`, { headers })
  return { status: response.status, body: await response.json() }
}

test('a stream carries the events of its channels, their data as values', async () => {
  const { server, http } = await startServer()
  const stream = await open(http, 'channels=news,prices&channel=a,b')
  expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  expect(await stream.next()).toMatchObject({ event: 'pusher:connection_established', data: { socket_id: expect.any(String) } })
  for (const channel of ['news', 'prices', 'a,b']) {
    expect(await stream.next()).toMatchObject({ event: 'pusher_internal:subscription_succeeded', channel })
  }
  for (const [channel, data] of [
    ['news', { text: 'größer 🚂\n\n' }],
    ['a,b', 'text'],
    ['prices', 7],
  ] as const) {
    server.hub.broadcast(app.id, channel, 'e', data)
    expect(await stream.next()).toEqual({ event: 'e', channel, data })
  }
})

test('a stream that its client closes leaves nothing behind', async () => {
  const { server, http } = await startServer()
  const stream = await open(http, 'channels=news')
  expect(server.stats()).toMatchObject({ sockets: 1, subscriptions: 1 })
  stream.close()
  await until(() => server.stats().sockets === 0)
  expect(server.stats()).toMatchObject({ subscriptions: 0, channels: 0, closes: { client: 1 } })
})

test.each([
  ['no channels', '', 400],
  ['a private channel without a signature', 'channels=news,private-a', 401],
  ['a presence channel', 'channels=presence-a', 401],
  ['an illegal channel', 'channels=a%20b', 400],
  ["a user's channel", 'channels=%23server-to-user-1', 401],
  ['too many channels', `channels=${Array.from({ length: 101 }, (_, index) => index).join()}`, 400],
  ['another app', 'channels=a&key=nobody', 404],
  ['a wrong signature', 'channels=a&auth_key=shop-key&auth_version=1.0&auth_timestamp=1&auth_signature=x', 401],
])('%s is refused as a whole', async (_what, query, status) => {
  const { server, http } = await startServer()
  expect(await refusal(http, query)).toEqual({ status, body: { error: expect.any(String) } })
  await until(() => server.stats().sockets === 0)
  expect(server.stats().subscriptions).toBe(0)
})

test('a request that the app signed may listen to private channels, and be a member', async () => {
  const { server, http, port } = await startServer()
  const pusher = new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port) })
  const params = { channels: 'private-a,presence-room', channel_data: '{"user_id":"ada"}' }
  const query = pusher.createSignedQueryString({ method: 'GET', path: '/sse', params, body: '' })
  const stream = await open(http, new URLSearchParams(query).toString())
  expect(await stream.nextOf('pusher_internal:subscription_succeeded')).toMatchObject({ channel: 'private-a' })
  expect(await stream.nextOf('pusher_internal:subscription_succeeded')).toMatchObject({ data: { presence: { ids: ['ada'] } } })
  server.hub.broadcast(app.id, 'private-a', 'secret', 1)
  await stream.nextOf('secret')
  expect((await refusal(http, new URLSearchParams(query.replace('private-a', 'private-b')).toString())).status).toBe(401)
})

test('a module decides by cookie and token, as on a socket', async () => {
  const { http } = await startServer({
    channels: { 'private-*': asks('join.ts') },
    findModule:
      () =>
      ({ cookie, token, channel }) =>
        cookie['session'] === 's1' || token === channel,
  })
  await open(http, 'channels=private-a', { cookie: 'session=s1' })
  await open(http, 'channels=private-a&token=private-a')
  expect((await refusal(http, 'channels=private-a,private-b&token=private-a')).status).toBe(401)
})

test('members of a presence channel hear of a stream that joins by its module', async () => {
  const { http, port } = await startServer({ channels: { 'presence-room': asks('join.ts') }, findModule: () => () => ({ user_id: 'sse' }) })
  const client = await connectedClient(port)
  await client.join('presence-room', { user_id: 'ada' })
  const stream = await open(http, 'channels=presence-room')
  await client.event('pusher_internal:member_added')
  stream.close()
  await client.event('pusher_internal:member_removed')
})

test('the last event of a cache channel comes first', async () => {
  const { server, http } = await startServer()
  server.hub.broadcast(app.id, 'cache-news', 'headline', { n: 1 })
  expect(await (await open(http, 'channels=cache-news')).nextOf('headline')).toEqual({
    event: 'headline',
    channel: 'cache-news',
    data: { n: 1 },
  })
})

test('pages of allowed origins may read it, others may not', async () => {
  const { http } = await startServer({ origins: ['https://shop.example'] })
  const stream = await open(http, 'channels=a', { origin: 'https://shop.example' })
  expect(stream.headers.get('access-control-allow-origin')).toBe('https://shop.example')
  expect((await refusal(http, 'channels=a', { origin: 'https://evil.example' })).status).toBe(403)
})

test('streams count as connections', async () => {
  const { server, http } = await startServer({ limits: { connectionsPerIp: 1 } })
  await open(http, 'channels=a')
  expect((await refusal(http, 'channels=a')).status).toBe(503)
  expect(server.stats().refusals).toEqual({ 'address-capacity': 1 })
})

test('a quiet stream is kept alive and never closed for silence', async () => {
  const { server, http } = await startServer({ timings: { activityMs: 20, pongMs: 10, sweepMs: 10 } })
  const stream = await open(http, 'channels=a')
  const { framesOut } = server.stats()
  await until(() => server.stats().framesOut > framesOut + 4)
  server.hub.broadcast(app.id, 'a', 'e', 1)
  await stream.nextOf('e')
})

test('a stream that is not read is closed', async () => {
  const { server, http } = await startServer({ limits: { queue: 64 * 1024 } })
  const response = await fetch(`${http}/sse?channels=a`)
  onTestFinished(() => response.body?.cancel().catch(() => {}))
  const data = 'x'.repeat(90_000)
  while (server.stats().sockets > 0) {
    server.hub.broadcast(app.id, 'a', 'e', data)
    await new Promise(resolve => setImmediate(resolve))
    if (server.stats().closes['slow-consumer'] === 1) break
  }
  expect(server.stats().closes).toEqual({ 'slow-consumer': 1 })
})

test('a stream ends when the server stops', async () => {
  const { server, http } = await startServer()
  const stream = await open(http, 'channels=a')
  const closed = server.close({ graceMs: 2_000 })
  await expect(stream.nextOf('never')).rejects.toThrow('the stream ended')
  await closed
  expect(server.stats()).toMatchObject({ sockets: 0, closes: { shutdown: 1 } })
})

test('several apps need to be told apart', async () => {
  const { server, http } = await startServer({ apps: [app, { id: 'blog', key: 'blog-key', secret: 's' }] })
  expect((await refusal(http, 'channels=a')).status).toBe(400)
  const stream = await open(http, 'channels=a&key=blog-key')
  server.hub.broadcast('shop', 'a', 'of-shop', 1)
  server.hub.broadcast('blog', 'a', 'of-blog', 1)
  await stream.next()
  await stream.next()
  expect(await stream.next()).toMatchObject({ event: 'of-blog' })
})
