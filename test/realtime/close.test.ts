import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { connectedClient, makeServer, nextOf, pusherClient, rawClient, startServer } from './harness.ts'

test('closing sends what is queued, then closes every socket with a code after which clients reconnect', async () => {
  const { server, port } = await startServer()
  const clients = await Promise.all(Array.from({ length: 20 }, () => connectedClient(port)))
  await Promise.all(clients.map(client => client.subscribe('orders')))
  server.hub.broadcast('shop', 'orders', 'last', 1)
  await server.close({ graceMs: 2_000 })
  for (const client of clients) {
    expect((await client.closed).code).toBe(4100)
    expect(client.received.at(-1)?.event).toBe('last')
  }
  expect(server.stats()).toMatchObject({ sockets: 0, subscriptions: 0, channels: 0, closes: { shutdown: 20 } })
})

test('sockets are closed one after the other, not all at once', async () => {
  const { server, port } = await startServer()
  const clients = await Promise.all(Array.from({ length: 50 }, () => connectedClient(port)))
  let gone = 0
  for (const client of clients) void client.closed.then(() => (gone += 1))
  const closing = server.close({ graceMs: 5_000 })
  await Promise.race(clients.map(client => client.closed))
  expect(server.stats().closes.shutdown ?? 0).toBeLessThan(50)
  expect(gone).toBeLessThan(50)
  await closing
  expect(server.stats().closes).toEqual({ shutdown: 50 })
})

test('while it closes nobody new is let in, over HTTP or WebSocket', async () => {
  const { server, port, http } = await startServer()
  await Promise.all(Array.from({ length: 50 }, () => connectedClient(port)))
  const closing = server.close({ graceMs: 5_000 })
  const late = rawClient(port)
  expect((await late.closed).code).toBe(1006)
  await expect(fetch(`${http}/healthz`)).rejects.toThrow()
  await closing
})

test('a client that neither reads nor answers does not hold up the end', async () => {
  const server = makeServer({ timings: { closeTimeoutMs: 60_000 } })
  const { port } = await server.listen()
  const socket = connect(port, '127.0.0.1')
  const ended = new Promise(resolve => socket.on('close', resolve))
  socket.on('error', () => {})
  socket.write(
    'GET /app/shop-key?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n',
  )
  await new Promise(resolve => socket.once('data', resolve))
  await server.close({ graceMs: 200 })
  socket.resume()
  await ended
})

test('a request that never ends does not hold up the end', async () => {
  const server = makeServer()
  const { port } = await server.listen()
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const ended = new Promise(resolve => socket.on('close', resolve))
  socket.write('POST /apps/shop/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
  await new Promise(resolve => socket.once('connect', resolve))
  await server.close({ graceMs: 200 })
  await ended
})

test('closing twice is closing once, and broadcasts after it reach nobody and break nothing', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  await Promise.all([server.close({ graceMs: 500 }), server.close({ graceMs: 500 })])
  expect(() => server.hub.broadcast('shop', 'orders', 'event', 1)).not.toThrow()
  expect(server.stats().closes).toEqual({ shutdown: 1 })
})

test('pusher-js moves to the next server by itself, with its subscriptions', async () => {
  const first = makeServer()
  const { port } = await first.listen()
  const client = pusherClient(port)
  const channel = client.subscribe('orders')
  await nextOf(channel, 'pusher:subscription_succeeded')
  const again = nextOf(channel, 'pusher:subscription_succeeded')
  await first.close({ graceMs: 2_000 })
  const second = makeServer({}, port)
  await second.listen()
  try {
    await again
    const received = nextOf(channel, 'event')
    second.hub.broadcast('shop', 'orders', 'event', 'back')
    expect(await received).toBe('back')
  } finally {
    client.disconnect()
    await second.close({ graceMs: 500 })
  }
})
