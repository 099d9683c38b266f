import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { addressRule } from '../../src/realtime/client-address.ts'
import { app, connectedClient, fieldsOf, rawClient, silentLog, startServer, until } from './harness.ts'

test('an address has so many connections, and places that become free are used', async () => {
  const { server, port } = await startServer({ limits: { connectionsPerIp: 2 } })
  const first = await connectedClient(port)
  await connectedClient(port)
  const third = rawClient(port)
  expect((await third.closed).code).toBe(4100)
  expect(server.stats().refusals).toEqual({ 'address-capacity': 1 })
  first.webSocket.terminate()
  await until(() => server.stats().sockets === 1)
  await connectedClient(port)
})

test('behind a trusted proxy each client has its own address', async () => {
  const { port } = await startServer({ limits: { connectionsPerIp: 1 }, trustedProxies: ['127.0.0.0/8'] })
  await connectedClient(port, { headers: { 'x-forwarded-for': '203.0.113.1' } })
  await connectedClient(port, { headers: { 'x-forwarded-for': '203.0.113.2' } })
  const again = rawClient(port, { headers: { 'x-forwarded-for': '198.51.100.9, 203.0.113.1' } })
  expect((await again.closed).code).toBe(4100)
})

test('an app has so many connections: the code is 4004, after which clients stay away', async () => {
  const other = { id: 'blog', key: 'blog-key', secret: 's' }
  const { server, port } = await startServer({ apps: [{ ...app, connections: 1 }, other] })
  await connectedClient(port)
  const second = rawClient(port)
  expect((await second.closed).code).toBe(4004)
  expect(fieldsOf(await second.event('pusher:error'))['code']).toBe(4004)
  await connectedClient(port, { path: '/app/blog-key?protocol=7' })
  expect(server.stats().refusals).toEqual({ 'app-capacity': 1 })
})

test('who subscribes to nothing is closed after a while, who did or signed in stays', async () => {
  const { server, port } = await startServer({ timings: { firstSubscribeMs: 150, sweepMs: 10 } })
  const [idle, subscriber, user] = await Promise.all([connectedClient(port), connectedClient(port), connectedClient(port)])
  await subscriber.subscribe('news')
  subscriber.send({ event: 'pusher:unsubscribe', data: { channel: 'news' } })
  await user.signIn({ id: 'ada' })
  expect((await idle.closed).code).toBe(4200)
  await Promise.all([subscriber.settled(), user.settled()])
  expect(server.stats()).toMatchObject({ sockets: 2, closes: { unused: 1 } })
})

test('refused connections are told in few lines, with how many and why', async () => {
  const lines: object[] = []
  const log = { ...silentLog, warn: (details: object) => void lines.push(details) }
  const { server, port } = await startServer({ log, origins: ['https://shop.example'], timings: { sweepMs: 10, refusalLogMs: 600_000 } })
  const evil = { headers: { origin: 'https://evil.example' } }
  await rawClient(port, evil).closed
  await until(() => lines.length > 0)
  await Promise.all(Array.from({ length: 20 }, () => rawClient(port, evil).closed))
  await rawClient(port, { path: '/app/guessed?protocol=7' }).closed
  await server.close({ graceMs: 500 })
  expect(lines).toEqual([{ refused: { origin: 1 } }, { refused: { 'app-key': 1, origin: 20 } }])
})

/** A client below the level of frames, with its handshake done. */
async function bareSocket(port: number, key = 'shop-key', headers: readonly string[] = []): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const lines = [`GET /app/${key}?protocol=7 HTTP/1.1`, 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade', ...headers]
  socket.write(`${[...lines, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'].join('\r\n')}\r\n\r\n`)
  await new Promise(resolve => socket.once('data', resolve))
  return socket
}

/** Masked with zeros, so that the payload stands as it is. */
function frame(firstByte: number, payload = ''): Buffer {
  return Buffer.concat([Buffer.from([firstByte, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)])
}

describe.each([
  ['a message in endless empty fragments', [frame(0x01), ...Array.from({ length: 200 }, () => frame(0x00))], 'fragments'],
  ['a message in endless small fragments', [frame(0x01, 'a'), ...Array.from({ length: 200 }, () => frame(0x00, 'a'))], 'fragments'],
  ['pings between fragments without end', [frame(0x01), ...Array.from({ length: 1_000 }, () => frame(0x89))], 'too-fast'],
  ['pongs without end', Array.from({ length: 1_000 }, () => frame(0x8a)), 'too-fast'],
  ['a fragment of nothing that was begun', [frame(0x80)], 'frame-invalid'],
  ['a reserved bit', [frame(0xf1, '{}')], 'frame-invalid'],
  ['an unmasked frame', [Buffer.from([0x81, 0x02, 0x7b, 0x7d])], 'frame-invalid'],
  ['a length of 2^63', [Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])], 'frame-too-large'],
  ['text that is no UTF-8', [Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28])], 'frame-invalid'],
  ['a ping of 126 bytes', [Buffer.from([0x89, 0xfe, 0, 126, 0, 0, 0, 0])], 'frame-invalid'],
] as const)('%s', (_what, frames, reason) => {
  test(`ends with ${reason}, and others do not notice`, async () => {
    const { server, port } = await startServer({ limits: { clientFrames: 100, channels: 100 } })
    const other = await connectedClient(port)
    const socket = await bareSocket(port)
    for (const bytes of frames) socket.write(bytes)
    await until(() => server.stats().closes[reason] === 1)
    await other.settled()
  })
})

test('a socket that went away without a word is closed once it is due', async () => {
  const { server, port } = await startServer({ timings: { activityMs: 40, pongMs: 40, sweepMs: 10, closeTimeoutMs: 40 } })
  const socket = await bareSocket(port)
  // Neither reads nor answers any more, as a machine that lost its power.
  socket.pause()
  await until(() => server.stats().closes['inactive'] === 1)
  await until(() => server.stats().sockets === 0)
})

test('a refused socket that never says goodbye is cut', async () => {
  const { server, port } = await startServer({ timings: { closeTimeoutMs: 40 } })
  const socket = await bareSocket(port, 'guessed')
  await new Promise(resolve => socket.once('close', resolve))
  expect(server.stats()).toMatchObject({ sockets: 0, refusals: { 'app-key': 1 } })
})

test('answers that nobody reads are bounded like events', async () => {
  const limits = { queue: 64 * 1024, clientFrames: 1_000_000 }
  const { server, port } = await startServer({ limits })
  for (let index = 0; index < 20; index += 1) {
    await (await connectedClient(port)).join('presence-hall', { user_id: `member-${index}`, user_info: 'x'.repeat(1_000) })
  }
  const greedy = await connectedClient(port)
  await greedy.join('presence-hall', { user_id: 'greedy' })
  greedy.webSocket.pause()
  // Each is answered with all the members, which is 200 times as much.
  while (server.stats().closes['slow-consumer'] === undefined) {
    for (let count = 0; count < 100; count += 1) greedy.send({ event: 'pusher:subscribe', data: { channel: 'presence-hall' } })
    await new Promise(resolve => setImmediate(resolve))
  }
  expect(server.stats().queuedBytes).toBeLessThan(2 * limits.queue)
})

test('compression is not agreed upon: a small frame stays small', async () => {
  const { port } = await startServer()
  const offering = await connectedClient(port, { headers: { 'sec-websocket-extensions': 'permessage-deflate' } })
  expect(offering.webSocket.extensions).toBe('')
  const plain = await connectedClient(port)
  expect(plain.webSocket.extensions).toBe('')
})

test('a handshake that is never finished holds no socket', async () => {
  const { server, port } = await startServer()
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.write('GET /app/shop-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n')
  await (await connectedClient(port)).settled()
  expect(server.stats().sockets).toBe(1)
})

describe('the address of a client', () => {
  const of = (trusted: readonly string[], remoteAddress: string, forwarded?: string) => {
    const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
    // What the rule reads of a request, and nothing else.
    return addressRule(trusted)({ socket: { remoteAddress }, headers } as Parameters<ReturnType<typeof addressRule>>[0])
  }
  test.each([
    ['its own', [], '203.0.113.1', undefined, '203.0.113.1'],
    ['its own where no proxy is trusted', [], '203.0.113.1', '198.51.100.1', '203.0.113.1'],
    ['its own where it is no proxy', ['10.0.0.0/8'], '203.0.113.1', '198.51.100.1', '203.0.113.1'],
    ['the last that a trusted proxy saw', ['10.0.0.0/8'], '10.1.2.3', '198.51.100.1, 203.0.113.1', '203.0.113.1'],
    ['found behind several proxies', ['10.0.0.0/8'], '::ffff:10.1.2.3', '203.0.113.1, 10.9.9.9', '203.0.113.1'],
    ["the proxy's where the header is nonsense", ['10.1.2.3'], '10.1.2.3', 'unknown', '10.1.2.3'],
    ['IPv4 mapped into IPv6 as IPv4', [], '::ffff:203.0.113.1', undefined, '203.0.113.1'],
    ['the /64 network of IPv6', [], '2001:db8:0:7:1:2:3:4', undefined, '2001:db8:0:7::/64'],
    ['the same network however it is written', ['::1'], '::1', '2001:0DB8::7:1:2:3:4', '2001:db8:0:7::/64'],
    ['that of a short address', [], '::1', undefined, '0:0:0:0::/64'],
  ])('is %s', (_what, trusted, remote, forwarded, expected) => {
    expect(of(trusted, remote, forwarded)).toBe(expected)
  })
})
