import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { app, nextOf, pusherClient, startServer } from './harness.ts'

test('an unmodified pusher-js connects, subscribes and receives what is broadcast', async () => {
  const { server, port } = await startServer()
  const client = pusherClient(port)
  const channel = client.subscribe('orders')
  await nextOf(channel, 'pusher:subscription_succeeded')
  expect(client.connection.state).toBe('connected')
  expect(client.connection.socket_id).toMatch(/^\d+\.\d+$/)
  expect(server.hub.hasSubscribers('shop', 'orders')).toBe(true)

  const received = nextOf(channel, 'order.created')
  server.hub.broadcast('shop', 'orders', 'order.created', { id: 7, note: 'größer als 5 € – 🚂' })
  expect(await received).toEqual({ id: 7, note: 'größer als 5 € – 🚂' })
})

test('values of every JSON type arrive as they were', async () => {
  const { server, port } = await startServer()
  const channel = pusherClient(port).subscribe('values')
  await nextOf(channel, 'pusher:subscription_succeeded')
  for (const value of ['text', '', '"quoted"', 0, -1.5, true, false, null, [], [1, 'two', null], {}, { a: { b: ['c'] } }]) {
    const received = nextOf(channel, 'value')
    server.hub.broadcast('shop', 'values', 'value', value)
    expect(await received).toEqual(value)
  }
})

test('a private channel lets in whoever the application signed for', async () => {
  const { server, port } = await startServer()
  const client = pusherClient(port, {
    channelAuthorization: {
      endpoint: '',
      transport: 'ajax',
      customHandler: ({ socketId, channelName }, done) => {
        const signature = createHmac('sha256', app.secret).update(`${socketId}:${channelName}`).digest('hex')
        done(null, { auth: `${app.key}:${signature}` })
      },
    },
  })
  const channel = client.subscribe('private-user.1')
  await nextOf(channel, 'pusher:subscription_succeeded')
  const received = nextOf(channel, 'hello')
  server.hub.broadcast('shop', 'private-user.1', 'hello', 'you')
  expect(await received).toBe('you')
})

test('a wrong signature is refused and the connection stays', async () => {
  const { server, port } = await startServer()
  const client = pusherClient(port, {
    channelAuthorization: {
      endpoint: '',
      transport: 'ajax',
      customHandler: (_request, done) => done(null, { auth: `${app.key}:${'0'.repeat(64)}` }),
    },
  })
  const refusal = await nextOf(client.subscribe('private-user.1'), 'pusher:subscription_error')
  expect(refusal).toMatchObject({ type: 'AuthError', status: 401 })
  expect(server.hub.hasSubscribers('shop', 'private-user.1')).toBe(false)
  await nextOf(client.subscribe('open'), 'pusher:subscription_succeeded')
  expect(client.connection.state).toBe('connected')
})

test('the endpoint of dev signs private channels for pusher-js as it comes', async () => {
  const { port, http } = await startServer({ mode: 'dev' })
  for (const path of ['/pusher/auth', '/broadcasting/auth']) {
    const client = pusherClient(port, { channelAuthorization: { endpoint: `${http}${path}`, transport: 'ajax' } })
    await nextOf(client.subscribe('private-user.1'), 'pusher:subscription_succeeded')
  }
})

test('after unsubscribing nothing arrives and the channel is empty', async () => {
  const { server, port } = await startServer()
  const client = pusherClient(port)
  const left = client.subscribe('left')
  const kept = client.subscribe('kept')
  await Promise.all([nextOf(left, 'pusher:subscription_succeeded'), nextOf(kept, 'pusher:subscription_succeeded')])
  const seen: unknown[] = []
  left.bind('event', (data: unknown) => seen.push(data))
  client.unsubscribe('left')
  // Messages of one socket keep their order: once the second subscription is answered, the first is gone.
  await nextOf(client.subscribe('later'), 'pusher:subscription_succeeded')
  expect(server.hub.hasSubscribers('shop', 'left')).toBe(false)
  const received = nextOf(kept, 'event')
  server.hub.broadcast('shop', 'left', 'event', 1)
  server.hub.broadcast('shop', 'kept', 'event', 2)
  expect(await received).toBe(2)
  expect(seen).toEqual([])
})

test('an unknown key is told so and pusher-js does not come back', async () => {
  const { port } = await startServer({ apps: [{ id: 'other', key: 'other-key', secret: 's' }] })
  const client = pusherClient(port)
  const error = nextOf(client.connection, 'error')
  await nextOf(client.connection, 'disconnected')
  expect(await error).toMatchObject({ error: { data: { code: 4001 } } })
})
