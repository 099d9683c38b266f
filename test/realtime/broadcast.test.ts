import { once } from 'node:events'
import { expect, test } from 'vitest'
import { HubError } from '../../src/realtime/hub.ts'
import { connectedClient, startServer } from './harness.ts'

test('an event reaches every subscriber of its channel and nobody else', async () => {
  const { server, port } = await startServer()
  const [first, second, other] = await Promise.all([connectedClient(port), connectedClient(port), connectedClient(port)])
  await Promise.all([first.subscribe('orders'), second.subscribe('orders'), other.subscribe('users')])
  server.hub.broadcast('shop', 'orders', 'order.created', { id: 1 })
  server.hub.broadcast('shop', 'users', 'last', null)
  const expected = { event: 'order.created', channel: 'orders', data: '{"id":1}' }
  expect(await first.event('order.created')).toEqual(expected)
  expect(await second.event('order.created')).toEqual(expected)
  await other.event('last')
  expect(other.received.some(message => message.event === 'order.created')).toBe(false)
})

test('except leaves out the socket it names, and an unknown socket leaves out nobody', async () => {
  const { server, port } = await startServer()
  const [sender, other] = await Promise.all([connectedClient(port), connectedClient(port)])
  await Promise.all([sender.subscribe('orders'), other.subscribe('orders')])
  server.hub.broadcast('shop', 'orders', 'excluding', 1, await sender.socketId())
  server.hub.broadcast('shop', 'orders', 'including', 2, '1.1')
  await Promise.all([sender.event('including'), other.event('including')])
  expect(sender.received.some(message => message.event === 'excluding')).toBe(false)
  expect(other.received.some(message => message.event === 'excluding')).toBe(true)
})

test('events and answers of one socket keep their order over many channels, turns and sizes', async () => {
  const { server, port } = await startServer({ limits: { queue: 64 * 1024 * 1024 } })
  const client = await connectedClient(port)
  const channels = ['a', 'b', 'c']
  for (const channel of channels) await client.subscribe(channel)
  client.received.length = 0
  const total = 3_000
  for (let index = 0; index < total; index += 1) {
    const size = index % 500 === 0 ? 90_000 : index % 7
    server.hub.broadcast('shop', channels[index % 3] ?? 'a', 'event', { index, fill: 'x'.repeat(size) })
    if (index % 100 === 99) await new Promise(resolve => setImmediate(resolve))
  }
  await client.message(message => message.event === 'event' && client.received.length >= total)
  expect(client.received.map(message => JSON.parse(String(message.data)).index)).toEqual(Array.from({ length: total }, (_, index) => index))
})

test('an event sent right after a subscription was taken follows its answer', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel: 'orders' } })
  while (!server.hub.hasSubscribers('shop', 'orders')) await new Promise(resolve => setImmediate(resolve))
  server.hub.broadcast('shop', 'orders', 'event', 1)
  await client.event('event')
  expect(client.received.map(message => message.event)).toEqual([
    'pusher:connection_established',
    'pusher_internal:subscription_succeeded',
    'event',
  ])
})

test('all frames of a turn go to the socket in one write', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  for (let index = 0; index < 50; index += 1) server.hub.broadcast('shop', 'orders', 'event', index)
  const { framesOut, bytesOut, queuedBytes } = server.stats()
  expect(queuedBytes).toBeGreaterThan(50 * 40)
  await new Promise(resolve => setImmediate(resolve))
  expect(server.stats()).toMatchObject({ framesOut, bytesOut: bytesOut + queuedBytes, queuedBytes: 0 })
  await client.message(message => message.data === '49')
})

test('a client that stops reading is closed with 4100 while the others go on', async () => {
  const { server, port } = await startServer({ limits: { queue: 256 * 1024, broadcast: 100_000 } })
  const [slow, quick] = await Promise.all([connectedClient(port), connectedClient(port)])
  await Promise.all([slow.subscribe('orders'), quick.subscribe('orders')])
  slow.webSocket.pause()
  const data = 'x'.repeat(50_000)
  let sent = 0
  let most = 0
  while (server.stats().closes['slow-consumer'] === undefined) {
    server.hub.broadcast('shop', 'orders', 'event', data)
    sent += 1
    most = Math.max(most, server.stats().queuedBytes)
    await once(quick.webSocket, 'message')
  }
  // The limit, and what one turn adds before it is looked at.
  expect(most).toBeLessThan(256 * 1024 + 2 * 50_100)
  expect(server.stats().subscriptions).toBe(1)
  server.hub.broadcast('shop', 'orders', 'last', 1)
  await quick.event('last')
  expect(quick.received.filter(message => message.event === 'event')).toHaveLength(sent)
  slow.webSocket.resume()
  expect((await slow.closed).code).toBe(4100)
  // What it did get has no holes and ends before the event it was closed on.
  const got = slow.received.filter(message => message.event === 'event').length
  expect(got).toBeGreaterThan(0)
  expect(got).toBeLessThan(sent)
  expect(slow.received.some(message => message.event === 'last')).toBe(false)
})

test('a long burst is handed to the socket while it lasts, so that it does not look like a slow client', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  const before = server.stats().bytesOut
  const data = 'x'.repeat(1_000)
  for (let index = 0; index < 500; index += 1) server.hub.broadcast('shop', 'orders', 'event', data)
  expect(server.stats().bytesOut - before).toBeGreaterThan(430_000)
  server.hub.broadcast('shop', 'orders', 'last', 1)
  await client.event('last')
  expect(client.received.filter(message => message.event === 'event')).toHaveLength(500)
})

test('a subscriber that goes away in the middle of a fan-out does not hide others from it', async () => {
  const { server, port } = await startServer({ limits: { queue: 150_000 } })
  const clients = await Promise.all(Array.from({ length: 6 }, () => connectedClient(port)))
  for (const client of clients) await client.subscribe('orders')
  for (const client of [clients[1], clients[3]]) client?.webSocket.pause()
  // Large enough to be written at once, so that who is slow is found out during the fan-out.
  const data = 'x'.repeat(100_000)
  const reading = clients.filter((_, index) => index !== 1 && index !== 3)
  let sent = 0
  while (server.stats().closes['slow-consumer'] !== 2) {
    const all = Promise.all(reading.map(client => once(client.webSocket, 'message')))
    server.hub.broadcast('shop', 'orders', 'event', data)
    sent += 1
    await all
    if (sent > 500) throw new Error('nobody was found to be slow')
  }
  for (const client of reading) expect(client.received.filter(message => message.event === 'event')).toHaveLength(sent)
})

test.each([
  ['an app nobody defined', ['other', 'orders', 'event', 1], 'unknown-app'],
  ['an app every object inherits', ['__proto__', 'orders', 'event', 1], 'unknown-app'],
  ['a channel with illegal characters', ['shop', 'orders/1', 'event', 1], 'channel-name'],
  ['an empty channel', ['shop', '', 'event', 1], 'channel-name'],
  ['a channel that is too long', ['shop', 'x'.repeat(201), 'event', 1], 'channel-name'],
  ['an empty event name', ['shop', 'orders', '', 1], 'event-name'],
  ['an event name that is too long', ['shop', 'orders', 'x'.repeat(201), 1], 'event-name'],
  ["an event name of the protocol's own", ['shop', 'orders', 'pusher:error', 1], 'event-name'],
  ['an internal event name', ['shop', 'orders', 'pusher_internal:subscription_succeeded', 1], 'event-name'],
  ['data over the limit', ['shop', 'orders', 'event', 'x'.repeat(1_023)], 'data-too-large'],
  ['data over the limit in bytes, not in characters', ['shop', 'orders', 'event', '€'.repeat(342)], 'data-too-large'],
  ['undefined', ['shop', 'orders', 'event', undefined], 'data-not-json'],
  ['a function', ['shop', 'orders', 'event', () => 1], 'data-not-json'],
  ['a big integer', ['shop', 'orders', 'event', { id: 1n }], 'data-not-json'],
  ['bytes', ['shop', 'orders', 'event', Buffer.from('x')], 'data-not-json'],
] as const)('%s is a permanent HubError', async (_what, [app, channel, event, data], code) => {
  const { server, port } = await startServer({ limits: { broadcast: 1_024 } })
  const client = await connectedClient(port)
  await client.subscribe('orders')
  expect(() => server.hub.broadcast(app, channel, event, data)).toThrow(
    expect.objectContaining({ code, permanent: true, name: 'HubError' }),
  )
  // Data of exactly the limit is sent.
  server.hub.broadcast('shop', 'orders', 'fits', 'x'.repeat(1_022))
  await client.event('fits')
  expect(client.received.filter(message => message.channel === 'orders').map(message => message.event)).toEqual([
    'pusher_internal:subscription_succeeded',
    'fits',
  ])
})

test('names are checked with and without subscribers', async () => {
  const { server } = await startServer()
  expect(() => server.hub.broadcast('shop', 'a b', 'event', 1)).toThrow(HubError)
  expect(() => server.hub.broadcast('shop', 'orders', '', 1)).toThrow(HubError)
  expect(() => server.hub.broadcast('shop', 'orders', 'event', 1)).not.toThrow()
  expect(server.hub.hasSubscribers('shop', 'orders')).toBe(false)
  expect(server.hub.hasSubscribers('nobody', 'orders')).toBe(false)
})
