import Pusher from 'pusher'
import { expect, test } from 'vitest'
import { channelAuth, userAuth } from '../../src/realtime/signature.ts'
import { app, asks, connectedClient, fieldsOf, pusherClient, startServer } from './harness.ts'

function pusherServer(port: number): Pusher {
  return new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port), useTLS: false })
}

test('a sign-in is confirmed with what was signed', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.signIn({ id: 'ada', name: 'Ada' })
  expect(fieldsOf(await client.event('pusher:signin_success'))).toEqual({ user_data: '{"id":"ada","name":"Ada"}' })
})

test('an event to a user reaches all connections of that user and nobody else', async () => {
  const { port } = await startServer()
  const [tab, otherTab, other] = await Promise.all([connectedClient(port), connectedClient(port), connectedClient(port)])
  await tab.signIn({ id: 'ada' })
  await otherTab.signIn({ id: 'ada' })
  await other.signIn({ id: 'ben' })
  await pusherServer(port).sendToUser('ada', 'hello', { text: 'you' })
  for (const client of [tab, otherTab]) expect(fieldsOf(await client.event('hello', '#server-to-user-ada'))).toEqual({ text: 'you' })
  await other.settled()
  expect(other.received.some(({ event }) => event === 'hello')).toBe(false)
})

test('ids of any characters are told apart and arrive as they are', async () => {
  const { server, port } = await startServer()
  const id = 'a"d\\a größe 🚂'
  const client = await connectedClient(port)
  await client.signIn({ id })
  server.hub.broadcast(app.id, `#server-to-user-${id}`, 'hello', 1)
  expect((await client.event('hello')).channel).toBe(`#server-to-user-${id}`)
})

test.each([
  ['a wrong signature', (socketId: string) => ({ auth: userAuth(app, socketId, '{"id":"ben"}'), user_data: '{"id":"ada"}' })],
  ['the signature of another socket', () => ({ auth: userAuth(app, '1.1', '{"id":"ada"}'), user_data: '{"id":"ada"}' })],
  [
    "the signature of a private channel with the user's data as its name",
    (socketId: string) => ({ auth: channelAuth(app, socketId, 'user::{"id":"ada"}'), user_data: '{"id":"ada"}' }),
  ],
  ['no id', (socketId: string) => ({ auth: userAuth(app, socketId, '{}'), user_data: '{}' })],
  ['user_data that is no JSON', (socketId: string) => ({ auth: userAuth(app, socketId, 'ada'), user_data: 'ada' })],
  [
    'an id of 129 characters',
    (socketId: string) => {
      const userData = JSON.stringify({ id: 'x'.repeat(129) })
      return { auth: userAuth(app, socketId, userData), user_data: userData }
    },
  ],
])('%s is refused with 4009 and the connection stays', async (_what, data) => {
  const { server, port } = await startServer()
  const client = await connectedClient(port)
  client.send({ event: 'pusher:signin', data: data(await client.socketId()) })
  expect(fieldsOf(await client.event('pusher:error'))).toMatchObject({ code: 4009 })
  await client.settled()
  expect(server.stats()).toMatchObject({ sockets: 1, refusals: { 'sign-in': 1 } })
})

test('a connection signs in again as the same user, not as another', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.signIn({ id: 'ada' })
  client.received.length = 1
  await client.signIn({ id: 'ada' })
  const userData = '{"id":"ben"}'
  client.send({ event: 'pusher:signin', data: { auth: userAuth(app, await client.socketId(), userData), user_data: userData } })
  expect(fieldsOf(await client.event('pusher:error'))).toMatchObject({ code: 4009 })
})

test("nobody subscribes to another user's channel, signed or not", async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  await client.signIn({ id: 'ada' })
  const channel = '#server-to-user-ben'
  client.send({ event: 'pusher:subscribe', data: { channel, auth: channelAuth(app, await client.socketId(), channel) } })
  expect(fieldsOf(await client.event('pusher:subscription_error', channel))).toMatchObject({ status: 401 })
  await client.subscribe('#server-to-user-ada')
})

test('terminate_connections ends all connections of a user, with 4009, and those of nobody else', async () => {
  const { server, port } = await startServer()
  const [tab, otherTab, other] = await Promise.all([connectedClient(port), connectedClient(port), connectedClient(port)])
  await tab.signIn({ id: 'ada/1' })
  await otherTab.signIn({ id: 'ada/1' })
  await other.signIn({ id: 'ben' })
  const response = await pusherServer(port).terminateUserConnections('ada%2F1')
  expect([response.status, await response.json()]).toEqual([200, {}])
  for (const client of [tab, otherTab]) {
    expect((await client.closed).code).toBe(4009)
    expect(fieldsOf(await client.event('pusher:error'))).toMatchObject({ code: 4009 })
  }
  await other.settled()
  expect(server.stats()).toMatchObject({ sockets: 1, closes: { terminated: 2 } })
})

test('pusher-js signs in by the endpoint, as whoever the module says, and hears what is sent to its user', async () => {
  const { server, port, http } = await startServer({
    channels: { '#server-to-user-*': asks('who.ts') },
    findModule:
      () =>
      ({ channel, query }) =>
        channel === undefined && { user_id: query['name'], user_info: { from: 'module' } },
  })
  const client = pusherClient(port, {
    userAuthentication: { endpoint: `${http}/pusher/user-auth`, transport: 'ajax', params: { name: 'ada' } },
  })
  const subscribed = new Promise(resolve => {
    client.connection.bind(
      'message',
      ({ event }: { event: string }) => event === 'pusher_internal:subscription_succeeded' && resolve(event),
    )
  })
  client.signin()
  await subscribed
  expect(client.user.user_data).toEqual({ id: 'ada', user_info: { from: 'module' } })
  const received = new Promise(resolve => client.user.bind('hello', resolve))
  server.hub.broadcast(app.id, '#server-to-user-ada', 'hello', { text: 'you' })
  expect(await received).toEqual({ text: 'you' })
})
