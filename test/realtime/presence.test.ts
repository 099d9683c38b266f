import { expect, test } from 'vitest'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, connectedClient, fieldsOf, nextOf, pusherClient, startServer } from './harness.ts'

const room = 'presence-room'
const ada = { user_id: 'ada', user_info: { name: 'Ada' } }
const ben = { user_id: 'ben', user_info: { name: 'Ben' } }

test('whoever joins gets the list of members, itself included', async () => {
  const { port } = await startServer()
  const first = await connectedClient(port)
  expect(fieldsOf(await first.join(room, ada))).toEqual({ presence: { ids: ['ada'], hash: { ada: { name: 'Ada' } }, count: 1 } })
  const second = await connectedClient(port)
  expect(fieldsOf(await second.join(room, ben))).toEqual({
    presence: { ids: ['ada', 'ben'], hash: { ada: { name: 'Ada' }, ben: { name: 'Ben' } }, count: 2 },
  })
})

test('the others hear of a new member, and the new one does not hear of itself', async () => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.join(room, ada)
  await second.join(room, ben)
  const heard = await first.event('pusher_internal:member_added', room)
  expect(typeof heard.data).toBe('string')
  expect(fieldsOf(heard)).toEqual(ben)
  await second.settled()
  expect(second.received.some(({ event }) => event === 'pusher_internal:member_added')).toBe(false)
})

test.each(['unsubscribes', 'disconnects', 'is cut'] as const)('the others hear of a member that %s', async how => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.join(room, ada)
  await second.join(room, ben)
  if (how === 'unsubscribes') second.send({ event: 'pusher:unsubscribe', data: { channel: room } })
  else if (how === 'disconnects') second.webSocket.close()
  else second.webSocket.terminate()
  expect(fieldsOf(await first.event('pusher_internal:member_removed', room))).toEqual({ user_id: 'ben' })
})

test("only a user's first connection is added, and only its last one removed", async () => {
  const { server, port } = await startServer()
  const watcher = await connectedClient(port)
  await watcher.join(room, ada)
  const [tab, otherTab] = await Promise.all([connectedClient(port), connectedClient(port)])
  await tab.join(room, ben)
  expect(fieldsOf(await otherTab.join(room, { ...ben, user_info: { name: 'Other' } }))).toMatchObject({
    presence: { count: 2, hash: { ben: { name: 'Ben' } } },
  })
  tab.webSocket.close()
  await tab.closed
  server.hub.broadcast(app.id, room, 'marker', 1)
  await watcher.event('marker')
  expect(watcher.received.filter(({ event }) => event === 'pusher_internal:member_added')).toHaveLength(1)
  expect(watcher.received.some(({ event }) => event === 'pusher_internal:member_removed')).toBe(false)
  otherTab.webSocket.close()
  await watcher.event('pusher_internal:member_removed')
})

test('a user id may be a number, and is the same as its text', async () => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.join(room, { user_id: 7 })
  expect(fieldsOf(await second.join(room, { user_id: '7' }))).toEqual({ presence: { ids: ['7'], hash: { 7: null }, count: 1 } })
})

test('names every object inherits are ids like any other', async () => {
  const { port } = await startServer()
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.join(room, { user_id: '__proto__', user_info: { a: 1 } })
  const joined = await second.join(room, { user_id: 'constructor' })
  expect(joined.data).toBe('{"presence":{"ids":["__proto__","constructor"],"hash":{"__proto__":{"a":1},"constructor":null},"count":2}}')
})

test.each([
  ['no channel_data', undefined],
  ['channel_data that is no JSON', 'ada'],
  ['channel_data that is a list', '[]'],
  ['no user_id', '{}'],
  ['an empty user_id', '{"user_id":""}'],
  ['a user_id that is an object', '{"user_id":{}}'],
  ['an inherited user_id', '{"__proto__":{"user_id":"ada"}}'],
  ['a user_id of 129 characters', JSON.stringify({ user_id: 'x'.repeat(129) })],
  ['more than 1 kB of user_info', JSON.stringify({ user_id: 'ada', user_info: 'x'.repeat(1_024) })],
])('%s is refused, however well it is signed', async (_what, channelData) => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  const auth = channelAuth(app, await client.socketId(), room, channelData)
  client.send({ event: 'pusher:subscribe', data: { channel: room, auth, channel_data: channelData } })
  expect(fieldsOf(await client.event('pusher:subscription_error', room))).toMatchObject({ type: 'AuthError', status: 401 })
})

test('another channel_data than the one that was signed is refused', async () => {
  const { port } = await startServer()
  const client = await connectedClient(port)
  const auth = channelAuth(app, await client.socketId(), room, JSON.stringify(ada))
  client.send({ event: 'pusher:subscribe', data: { channel: room, auth, channel_data: JSON.stringify(ben) } })
  expect(fieldsOf(await client.event('pusher:subscription_error', room))).toMatchObject({ status: 401 })
})

test('a full room takes no new member, but further connections of those inside', async () => {
  const { port } = await startServer({ limits: { members: 3 }, channels: { 'presence-room': { limits: { members: 1 } } } })
  const [first, second, third] = await Promise.all([connectedClient(port), connectedClient(port), connectedClient(port)])
  await first.join(room, ada)
  await second.join(room, ada)
  const data = JSON.stringify(ben)
  third.send({
    event: 'pusher:subscribe',
    data: { channel: room, auth: channelAuth(app, await third.socketId(), room, data), channel_data: data },
  })
  expect(fieldsOf(await third.event('pusher:subscription_error', room))).toMatchObject({ type: 'LimitReached', status: 429 })
  await third.join('presence-other', ben)
})

test('pusher-js keeps the members and tells of who comes and goes', async () => {
  const { port, http } = await startServer({ mode: 'dev' })
  const subscriber = (userId: string) => {
    const endpoint = { endpoint: `${http}/pusher/auth`, transport: 'ajax' as const, params: { user_id: userId } }
    return pusherClient(port, { channelAuthorization: endpoint })
  }
  const channel = subscriber('ada').subscribe(room)
  await nextOf(channel, 'pusher:subscription_succeeded')
  expect(Reflect.get(channel, 'members')).toMatchObject({ count: 1, myID: 'ada' })
  const added = nextOf(channel, 'pusher:member_added')
  const other = subscriber('ben')
  await nextOf(other.subscribe(room), 'pusher:subscription_succeeded')
  expect(await added).toMatchObject({ id: 'ben' })
  const removed = nextOf(channel, 'pusher:member_removed')
  other.disconnect()
  expect(await removed).toMatchObject({ id: 'ben' })
})
