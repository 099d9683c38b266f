import { createRequire } from 'node:module'
import Echo from 'laravel-echo'
import { expect, onTestFinished, test } from 'vitest'
import { resumable } from '../../src/client/resumable.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { app, asks, startServer, until } from './harness.ts'

const require = createRequire(import.meta.url)
/** Echo's types name the module, its code takes what the module exports for Node: the class itself. */
const Pusher: typeof import('pusher-js') = require('pusher-js')

/** Laravel Echo as a Laravel application sets it up for Reverb, with no option of our own. */
function echo(port: number, user: string): Echo<'reverb'> {
  const client = new Echo({
    broadcaster: 'reverb',
    key: app.key,
    wsHost: '127.0.0.1',
    wsPort: port,
    forceTLS: false,
    enabledTransports: ['ws'],
    Pusher,
    authEndpoint: `http://127.0.0.1:${port}/broadcasting/auth`,
    bearerToken: user,
  })
  onTestFinished(() => client.disconnect())
  return client
}

const setup = {
  apps: [{ ...app, clientEvents: true }],
  channels: { 'private-*': asks('join.ts'), 'presence-*': asks('join.ts') },
  findModule:
    () =>
    ({ token }: { readonly token: string | undefined }) =>
      token !== 'stranger' && { user_id: token ?? '', user_info: { name: token } },
}

test('a public channel', async () => {
  const { server, port } = await startServer(setup)
  const channel = echo(port, 'ada').channel('news')
  const received = new Promise(resolve => channel.listen('.headline', resolve))
  await new Promise<void>(resolve => channel.subscribed(resolve))
  server.hub.broadcast(app.id, 'news', 'headline', { text: 'first' })
  expect(await received).toEqual({ text: 'first' })
})

test("Laravel's event names with their namespace", async () => {
  const { server, port } = await startServer(setup)
  const channel = echo(port, 'ada').channel('news')
  const received = new Promise(resolve => channel.listen('OrderShipped', resolve))
  await new Promise<void>(resolve => channel.subscribed(resolve))
  server.hub.broadcast(app.id, 'news', 'App\\Events\\OrderShipped', { id: 7 })
  expect(await received).toEqual({ id: 7 })
})

test('a private channel, signed at /broadcasting/auth by the module, with whispers', async () => {
  const { port } = await startServer(setup)
  const [sender, receiver] = ['ada', 'ben'].map(user => echo(port, user).private('chat.1'))
  if (sender === undefined || receiver === undefined) throw new Error('two clients were made')
  await Promise.all([sender, receiver].map(channel => new Promise<void>(resolve => channel.subscribed(resolve))))
  const heard = new Promise(resolve => receiver.listenForWhisper('typing', resolve))
  sender.whisper('typing', { name: 'Ada' })
  expect(await heard).toEqual({ name: 'Ada' })
})

test('whom the module refuses gets the error', async () => {
  const { port } = await startServer(setup)
  const channel = echo(port, 'stranger').private('chat.1')
  expect(await new Promise(resolve => channel.error(resolve))).toMatchObject({ type: 'AuthError', status: 403 })
})

test('a presence channel: here, joining, leaving', async () => {
  const { port } = await startServer(setup)
  const room = echo(port, 'ada').join('room.1')
  expect(await new Promise(resolve => room.here(resolve))).toEqual([{ name: 'ada' }])
  const joined = new Promise(resolve => room.joining(resolve))
  const left = new Promise(resolve => room.leaving(resolve))
  const other = echo(port, 'ben')
  await new Promise(resolve => other.join('room.1').here(resolve))
  expect(await joined).toEqual({ name: 'ben' })
  other.leave('room.1')
  expect(await left).toEqual({ name: 'ben' })
})

test('with one line, what was sent while the page was cut off', async () => {
  const history = { size: 10, ttlMs: 60_000, bytes: 1_000_000 }
  const { server, port } = await startServer({ ...setup, channels: { 'private-*': { ...asks('join.ts'), history } } })
  const proxy = await TcpProxy.to(port)
  onTestFinished(() => proxy.close())
  const client = echo(proxy.port, 'ada')
  resumable(client.connector.pusher)
  const channel = client.private('orders')
  const received: unknown[] = []
  channel.listen('.shipped', (event: unknown) => received.push(event))
  await new Promise<void>(resolve => channel.subscribed(resolve))
  server.hub.broadcast(app.id, 'private-orders', 'shipped', { n: 1 })
  await until(() => received.length === 1)
  proxy.cutAll()
  await until(() => server.stats().sockets === 0)
  server.hub.broadcast(app.id, 'private-orders', 'shipped', { n: 2 })
  await until(() => received.length === 2)
  server.hub.broadcast(app.id, 'private-orders', 'shipped', { n: 3 })
  await until(() => received.length === 3)
  expect(received).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
})
