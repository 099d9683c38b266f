import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { connectedClient, fieldsOf, hotConfig, rawClient, startServer, until } from './harness.ts'

test('the first message greets the socket with its id and the activity time-out', async () => {
  const { port } = await startServer()
  const greeting = await rawClient(port).event('pusher:connection_established')
  expect(typeof greeting.data).toBe('string')
  expect(fieldsOf(greeting)).toEqual({ socket_id: expect.stringMatching(/^\d+\.\d+$/), activity_timeout: 120 })
})

test.each([
  ['an unknown key', '/app/nobody?protocol=7', 4001],
  ['a key that cannot be decoded to a known one', '/app/shop-key%20?protocol=7', 4001],
  ['a name every object inherits', '/app/__proto__?protocol=7', 4001],
  ['no protocol version', '/app/shop-key?client=js', 4008],
  ['an empty protocol version', '/app/shop-key?protocol=', 4008],
  ['an old protocol version', '/app/shop-key?protocol=4', 4007],
  ['a future protocol version', '/app/shop-key?protocol=99', 4007],
  ['a protocol version that is no number', '/app/shop-key?protocol=seven', 4007],
])('%s is refused with pusher:error and the close code', async (_what, path, code) => {
  const { server, port } = await startServer()
  const client = rawClient(port, { path })
  expect(fieldsOf(await client.event('pusher:error'))).toEqual({ code, message: expect.any(String) })
  expect((await client.closed).code).toBe(code)
  expect(client.received).toHaveLength(1)
  expect(server.stats()).toMatchObject({ sockets: 0, closes: {} })
})

test('clients of protocol 5, as the Java library is, are served', async () => {
  const { port } = await startServer()
  await connectedClient(port, { path: '/app/shop-key?protocol=5&client=java-client&version=2.4.4' })
})

test('an upgrade of another path is not found', async () => {
  const { server, port } = await startServer()
  const client = rawClient(port, { path: '/somewhere' })
  const status = await new Promise(resolve =>
    client.webSocket.on('unexpected-response', (_request, response) => resolve(response.statusCode)),
  )
  expect(status).toBe(404)
  expect(server.stats().refusals).toEqual({ path: 1 })
})

test('beyond the limit of connections sockets are closed with 4100, and places that become free are used', async () => {
  const { server, port } = await startServer({ limits: { connections: 2 } })
  const first = await connectedClient(port)
  await connectedClient(port)
  const third = rawClient(port)
  expect((await third.closed).code).toBe(4100)
  expect(fieldsOf(await third.event('pusher:error'))['code']).toBe(4100)
  first.webSocket.close()
  await until(() => server.stats().sockets === 1)
  await connectedClient(port)
  expect(server.stats()).toMatchObject({ sockets: 2, refusals: { capacity: 1 }, closes: { client: 1 } })
})

test('pings are answered, those of the protocol and those of WebSocket, in order', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  client.send({ event: 'pusher:ping', data: {} })
  await client.event('pusher:pong')
  const pong = new Promise(resolve => client.webSocket.on('pong', data => resolve(data)))
  client.webSocket.ping('are you there')
  expect(await pong).toEqual(Buffer.from('are you there'))
})

const quick = { activityMs: 200, pongMs: 100, sweepMs: 20 }

test('a silent socket is pinged once and then closed with 4201', async () => {
  const { server, port } = await startServer({ timings: quick })
  const client = await connectedClient(port)
  await client.event('pusher:ping')
  expect((await client.closed).code).toBe(4201)
  expect(client.received.filter(message => message.event === 'pusher:ping')).toHaveLength(1)
  await until(() => server.stats().sockets === 0)
  expect(server.stats().closes).toEqual({ inactive: 1 })
})

test('a socket that answers pings stays', async () => {
  const { server, port } = await startServer({ timings: { ...quick, pongMs: 10_000 } })
  const client = await connectedClient(port)
  const pings = (): number => client.received.filter(message => message.event === 'pusher:ping').length
  for (let count = 1; count <= 3; count += 1) {
    await until(() => pings() === count)
    client.send({ event: 'pusher:pong', data: {} })
  }
  expect(server.stats()).toMatchObject({ sockets: 1, closes: {} })
})

test('a connection that is cut is noticed and leaves its channels', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  client.webSocket.terminate()
  await until(() => server.stats().sockets === 0)
  expect(server.stats()).toMatchObject({ subscriptions: 0, channels: 0, closes: { lost: 1 } })
  expect(server.hub.hasSubscribers('shop', 'orders')).toBe(false)
})

test('a client that never says goodbye is cut', async () => {
  const { server, port } = await startServer({ timings: { ...quick, closeTimeoutMs: 50 } })
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    'GET /app/shop-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n',
  )
  const ended = new Promise(resolve => socket.on('close', resolve))
  socket.resume()
  await ended
  expect(server.stats().closes).toEqual({ inactive: 1 })
})

test.each([
  ['a listed origin connects', ['https://shop.example'], 'run', 'https://shop.example', true],
  ['a listed port counts', ['https://shop.example:8443'], 'run', 'https://shop.example:8443', true],
  [
    'an entry with a final slash or the default port means the same origin',
    ['https://shop.example:443/'],
    'run',
    'https://shop.example',
    true,
  ],
  ['another scheme is another origin', ['https://shop.example'], 'run', 'http://shop.example', false],
  ['another port is another origin', ['https://shop.example'], 'run', 'https://shop.example:8443', false],
  ['a longer name is another origin', ['https://shop.example'], 'run', 'https://shop.example.evil.test', false],
  ['a subdomain is another origin', ['https://shop.example'], 'run', 'https://a.shop.example', false],
  ['an opaque origin is not on a list', ['https://shop.example'], 'run', 'null', false],
  ['a native app has an origin of its own', ['capacitor://localhost'], 'run', 'capacitor://localhost', true],
  ['a list also holds in dev', ['https://shop.example'], 'dev', 'https://evil.test', false],
  ['an empty list lets no page in', [], 'run', 'http://router.test:6001', false],
  ['without a list dev takes any page', undefined, 'dev', 'https://anything.test', true],
  ['without a list run takes pages of its own host', undefined, 'run', 'http://router.test:6001', true],
  ['without a list run refuses other hosts', undefined, 'run', 'https://evil.test', false],
  ['without a list run refuses other ports', undefined, 'run', 'http://router.test', false],
  ['without a list run refuses opaque origins', undefined, 'run', 'null', false],
] as const)('origins: %s', async (_what, origins, mode, origin, allowed) => {
  const { port } = await startServer({ mode, ...(origins === undefined ? {} : { origins }) })
  const client = rawClient(port, { headers: { origin, host: 'router.test:6001' } })
  if (allowed) await client.socketId()
  else expect((await client.closed).code).toBe(4009)
})

test('behind a proxy that ends TLS a page of the same host connects', async () => {
  const { port } = await startServer()
  await rawClient(port, { headers: { origin: 'https://shop.example', host: 'shop.example' } }).socketId()
})

test('clients without an origin, as servers are, connect whatever the list says', async () => {
  const { port } = await startServer({ origins: ['https://shop.example'] })
  await connectedClient(port)
})

test('origins and limits change under the running server', async () => {
  const { server, port } = await startServer({ origins: ['https://old.example'] })
  const early = await connectedClient(port)
  server.updateConfig(hotConfig({ origins: ['https://new.example'], limits: { channels: 1, frame: 256 } }))
  expect((await rawClient(port, { headers: { origin: 'https://old.example' } }).closed).code).toBe(4009)
  const late = await connectedClient(port, { headers: { origin: 'https://new.example' } })
  late.send({ event: 'pusher:subscribe', data: { channel: 'x'.repeat(300) } })
  expect((await late.closed).code).toBe(1009)
  await early.subscribe('one')
  early.send({ event: 'pusher:subscribe', data: { channel: 'two' } })
  expect(fieldsOf(await early.event('pusher:subscription_error', 'two'))).toMatchObject({ type: 'LimitReached' })
})
