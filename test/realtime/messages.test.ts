import fc from 'fast-check'
import { expect, test } from 'vitest'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, connectedClient, fieldsOf, startServer } from './harness.ts'

test.each([
  ['text that is not JSON', 'hello'],
  ['an empty frame', ''],
  ['a list', '[]'],
  ['null', 'null'],
  ['a number', '7'],
  ['no event', '{"data":{}}'],
  ['an event that is no text', '{"event":7}'],
  ['an unknown event', '{"event":"router:nothing","data":{}}'],
  ['an event inherited from a prototype', '{"__proto__":{"event":"pusher:ping"}}'],
  ['a subscription without data', '{"event":"pusher:subscribe"}'],
  ['a subscription to no text', '{"event":"pusher:subscribe","data":{"channel":{"a":1}}}'],
  ['an unsubscription without a channel', '{"event":"pusher:unsubscribe","data":{}}'],
  ['JSON nested a thousand times', `${'['.repeat(1000)}${']'.repeat(1000)}`],
  ['a sign-in without a signature', '{"event":"pusher:signin","data":{"user_data":"{}"}}'],
])('%s is answered with pusher:error and the connection stays', async (_what, frame) => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send(frame)
  expect(fieldsOf(await client.event('pusher:error'))).toEqual({ code: 4200, message: expect.any(String) })
  await client.subscribe('still-there')
  expect(server.stats().refusals).toEqual({ message: 1 })
})

test('no text frame whatsoever breaks the server', async () => {
  const { port } = await startServer({ limits: { clientFrames: 100_000, frame: 64 * 1024 } })
  const client = await connectedClient(port)
  const frame = fc.oneof(
    fc.uint16Array().map(units => String.fromCharCode(...units)),
    fc.json(),
    fc
      .record({
        event: fc.constantFrom('pusher:subscribe', 'pusher:unsubscribe', 'pusher:ping', 'pusher:signin', 'client-x'),
        data: fc.jsonValue(),
      })
      .map(value => JSON.stringify(value)),
    fc
      .record({ channel: fc.string(), auth: fc.jsonValue(), channel_data: fc.jsonValue() })
      .map(data => JSON.stringify({ event: 'pusher:subscribe', data })),
  )
  for (const text of fc.sample(frame, 500)) client.send(text)
  await client.subscribe('still-there')
})

test('a binary frame is refused', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send(Buffer.from('{"event":"pusher:ping"}'))
  expect((await client.closed).code).toBe(1003)
  expect(client.received.map(message => message.event)).toEqual(['pusher:connection_established', 'pusher:error'])
  expect(server.stats().closes).toEqual({ 'frame-invalid': 1 })
})

test('a frame over the limit closes the socket with 1009', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send('x'.repeat(16 * 1024 + 1))
  expect((await client.closed).code).toBe(1009)
  expect(server.stats().closes).toEqual({ 'frame-too-large': 1 })
})

test('who sends too fast is told so and closed with 4100, whatever the frames are', async () => {
  const { server, port } = await startServer({ limits: { clientFrames: 5, channels: 5 } })
  for (const flood of ['messages', 'pings'] as const) {
    const client = await connectedClient(port)
    for (let count = 0; count < 200; count += 1) {
      if (flood === 'pings') client.webSocket.ping()
      else client.send({ event: 'pusher:ping', data: {} })
    }
    expect((await client.closed).code).toBe(4100)
    expect(fieldsOf(await client.event('pusher:error'))['code']).toBe(4100)
  }
  expect(server.stats().closes).toEqual({ 'too-fast': 2 })
})

test('a client may subscribe to all the channels it may have at once', async () => {
  const { port } = await startServer({ limits: { clientFrames: 1, channels: 100 } })
  const client = await connectedClient(port)
  await Promise.all(Array.from({ length: 100 }, (_, index) => client.subscribe(`channel-${index}`)))
})

test.each([
  ['', 'empty'],
  ['with space', 'space'],
  ['größe', 'letters beyond ASCII'],
  ['a:b', 'colon'],
  ['#server-to-group-1', 'number sign'],
  ['line\nbreak', 'line break'],
  ['x'.repeat(201), 'too long'],
])('the channel name %j is refused (%s)', async channel => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send({ event: 'pusher:subscribe', data: { channel } })
  expect(fieldsOf(await client.event('pusher:subscription_error', channel))).toMatchObject({ type: 'InvalidChannel', status: 400 })
  expect(server.stats()).toMatchObject({ subscriptions: 0, refusals: { 'channel-name': 1 } })
})

test('a private channel needs the signature for this socket, this channel and this app', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  const socketId = await client.socketId()
  const right = channelAuth(app, socketId, 'private-a')
  const wrong = [
    undefined,
    '',
    'nonsense',
    right.replace('shop-key', 'other-key'),
    right.slice(0, -1),
    `${right}0`,
    right.toUpperCase(),
    right.split(':')[1],
    channelAuth(app, '1.1', 'private-a'),
    channelAuth(app, socketId, 'private-b'),
    channelAuth({ ...app, secret: 'guess' }, socketId, 'private-a'),
  ]
  for (const auth of wrong) {
    client.received.length = 0
    client.send({ event: 'pusher:subscribe', data: { channel: 'private-a', auth } })
    expect(fieldsOf(await client.event('pusher:subscription_error', 'private-a'))).toMatchObject({ type: 'AuthError', status: 401 })
  }
  expect(server.stats().refusals).toEqual({ 'subscription-auth': wrong.length })
  await client.subscribe('private-a', right)
  expect(server.hub.hasSubscribers('shop', 'private-a')).toBe(true)
})

test('subscribing twice is answered twice and delivers once', async () => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  await client.subscribe('orders')
  client.received.length = 0
  await client.subscribe('orders')
  expect(server.stats().subscriptions).toBe(1)
  server.hub.broadcast('shop', 'orders', 'event', 1)
  server.hub.broadcast('shop', 'orders', 'last', 2)
  await client.event('last')
  expect(client.received.filter(message => message.event === 'event')).toHaveLength(1)
  client.send({ event: 'pusher:unsubscribe', data: { channel: 'orders' } })
  client.send({ event: 'pusher:unsubscribe', data: { channel: 'orders' } })
  await client.subscribe('next')
  expect(server.stats()).toMatchObject({ subscriptions: 1, channels: 1 })
})

test('a socket has at most so many channels', async () => {
  const { port } = await startServer({ limits: { channels: 2 } })
  const client = await connectedClient(port)
  await client.subscribe('one')
  await client.subscribe('two')
  client.send({ event: 'pusher:subscribe', data: { channel: 'three' } })
  expect(fieldsOf(await client.event('pusher:subscription_error', 'three'))).toMatchObject({ type: 'LimitReached', status: 429 })
  client.send({ event: 'pusher:unsubscribe', data: { channel: 'one' } })
  await client.subscribe('four')
})

test('two apps on one server hear nothing of each other', async () => {
  const other = { id: 'blog', key: 'blog-key', secret: 'blog-secret' }
  const { server, port } = await startServer({ apps: [app, other] })
  const shop = await connectedClient(port)
  const blog = await connectedClient(port, { path: '/app/blog-key?protocol=7' })
  await shop.subscribe('news')
  await blog.subscribe('news')
  server.hub.broadcast('shop', 'news', 'of-shop', 1)
  server.hub.broadcast('blog', 'news', 'of-blog', 2)
  await shop.event('of-shop')
  await blog.event('of-blog')
  expect(blog.received.some(message => message.event === 'of-shop')).toBe(false)
  blog.send({ event: 'pusher:subscribe', data: { channel: 'private-a', auth: channelAuth(app, await blog.socketId(), 'private-a') } })
  expect(fieldsOf(await blog.event('pusher:subscription_error', 'private-a'))['status']).toBe(401)
})
