import { expect, test } from 'vitest'
import { type WebhookEvent, webhookEvents } from '../../src/config/router-config.ts'
import { asked, eventually, names, pusher, watched } from './fleet.ts'
import { app, connectedClient, fieldsOf, type RawClient, type RunningServer, type ServerSetup, until } from './harness.ts'
import { webhookReceiver } from './webhook-receiver.ts'

/** Three servers that are one; they may be the same. Their webhooks wait a moment only. */
export type StartFleet = (setup?: ServerSetup) => Promise<readonly [RunningServer, RunningServer, RunningServer]>

const room = 'presence-room'
const ada = { user_id: 'ada', user_info: { name: 'Ada ü' } }
const ben = { user_id: 'ben' }

/** What every backplane does: whatever server a client, an event or a question comes to, it finds the same. */
export function backplaneContract(startFleet: StartFleet): void {
  test('an event reaches every subscriber once, and nobody else', async () => {
    const fleet = await startFleet()
    const clients = await Promise.all(fleet.map(({ port }) => connectedClient(port)))
    await Promise.all(clients.map(client => client.join('private-orders')))
    const stranger = await connectedClient(fleet[1].port)
    await stranger.subscribe('news')
    const data = { text: 'grüße "quoted" \\ \t\n €', list: [1, 2] }
    fleet[0].server.hub.broadcast(app.id, 'private-orders', 'order.shipped', data)
    await marked(fleet, [...clients, stranger])
    for (const client of clients) {
      expect(client.received.filter(({ event }) => event === 'order.shipped')).toEqual([
        { event: 'order.shipped', channel: 'private-orders', data: JSON.stringify(data) },
      ])
    }
    expect(names(stranger)).not.toContain('order.shipped')
  })

  test('events of one server keep their order', async () => {
    const fleet = await startFleet()
    const client = await connectedClient(fleet[2].port)
    await client.subscribe('news')
    for (let index = 0; index < 500; index += 1) fleet[0].server.hub.broadcast(app.id, 'news', 'tick', index)
    await client.message(({ event, data }) => event === 'tick' && data === '499')
    expect(client.received.filter(({ event }) => event === 'tick').map(({ data }) => Number(data))).toEqual(
      Array.from({ length: 500 }, (_, index) => index),
    )
  })

  test('an event leaves out the socket it excepts, wherever that is', async () => {
    const fleet = await startFleet()
    const [left, other] = [await connectedClient(fleet[1].port), await connectedClient(fleet[2].port)]
    await Promise.all([left, other].map(client => client.subscribe('news')))
    fleet[0].server.hub.broadcast(app.id, 'news', 'headline', 1, await left.socketId())
    await pusher(fleet[0]).trigger('news', 'by-api', 1, { socket_id: await left.socketId() })
    await other.event('by-api')
    await marked(fleet, [left])
    expect(names(left)).not.toContain('headline')
    expect(names(left)).not.toContain('by-api')
    expect(names(other)).toContain('headline')
  })

  test('a client event goes to all others, with its user', async () => {
    const fleet = await startFleet({ apps: [{ ...app, clientEvents: true }] })
    const [sender, other] = [await connectedClient(fleet[0].port), await connectedClient(fleet[1].port)]
    await sender.join(room, ada)
    await other.join(room, ben)
    sender.send({ event: 'client-typing', channel: room, data: { on: true } })
    expect(await other.event('client-typing')).toEqual({ event: 'client-typing', channel: room, data: '{"on":true}', user_id: 'ada' })
    await marked(fleet, [], room)
    await sender.event('marker')
    expect(names(sender)).not.toContain('client-typing')
  })

  test('a member is added and removed once, however many servers it is on', async () => {
    const fleet = await startFleet()
    const watcher = await connectedClient(fleet[0].port)
    await watcher.join(room, ben)
    const tabs = await Promise.all([connectedClient(fleet[1].port), connectedClient(fleet[2].port)])
    for (const tab of tabs) await tab.join(room, ada)
    expect(fieldsOf(await watcher.event('pusher_internal:member_added'))).toEqual(ada)
    const [first, second] = tabs
    first?.webSocket.close()
    await watched(fleet[0], room, 2)
    await marked(fleet, [], room)
    await watcher.event('marker')
    expect(names(watcher)).not.toContain('pusher_internal:member_removed')
    second?.webSocket.close()
    expect(fieldsOf(await watcher.event('pusher_internal:member_removed'))).toEqual({ user_id: 'ada' })
    expect(names(watcher).filter(name => name.startsWith('pusher_internal:member'))).toHaveLength(2)
  })

  test('whoever joins is told of all members', async () => {
    const fleet = await startFleet()
    const members = [ada, ben, { user_id: 'cleo "c"\n', user_info: [1] }]
    for (const [index, member] of members.entries()) {
      const client = await connectedClient(fleet[index % 2]?.port ?? 0)
      await client.join(room, member)
      await watched(fleet[2], room, index + 1)
    }
    const last = await connectedClient(fleet[2].port)
    const { presence } = fieldsOf(await last.join(room, { user_id: 'dan' }))
    expect(presence).toMatchObject({
      count: 4,
      ids: expect.arrayContaining(['ada', 'ben', 'cleo "c"\n', 'dan']),
      hash: { ada: ada.user_info, ben: null, 'cleo "c"\n': [1], dan: null },
    })
  })

  test('a presence channel that is full elsewhere is full', async () => {
    const fleet = await startFleet({ limits: { members: 1 } })
    await (await connectedClient(fleet[0].port)).join(room, ada)
    await watched(fleet[1], room, 1)
    const other = await connectedClient(fleet[1].port)
    void other.join(room, ben)
    expect(await other.event('pusher:subscription_error')).toMatchObject({ data: { status: 429 } })
    const tab = await connectedClient(fleet[1].port)
    await tab.join(room, ada)
  })

  test('channels, counts and users are the same wherever they are asked for', async () => {
    const fleet = await startFleet()
    const clients = await Promise.all(fleet.map(({ port }) => connectedClient(port)))
    await Promise.all(clients.map(client => client.subscribe('news')))
    await Promise.all(clients.slice(0, 2).map((client, index) => client.join(room, { user_id: `user-${index}` })))
    await clients[0]?.signIn({ id: 'ada' })
    for (const server of fleet) {
      await watched(server, 'news', 3)
      await watched(server, room, 2)
      expect(await asked(server, '/channels')).toEqual({ channels: { news: {}, [room]: {} } })
      expect(await asked(server, '/channels', { filter_by_prefix: 'presence-', info: 'user_count' })).toEqual({
        channels: { [room]: { user_count: 2 } },
      })
      expect(await asked(server, `/channels/${room}/users`)).toEqual({
        users: expect.arrayContaining([{ id: 'user-0' }, { id: 'user-1' }]),
      })
    }
    for (const client of clients) client.webSocket.close()
    await eventually(async () => JSON.stringify(await asked(fleet[1], '/channels')) === '{"channels":{}}')
    expect(await asked(fleet[2], '/channels/news')).toEqual({ occupied: false })
    expect(await asked(fleet[2], `/channels/${room}/users`)).toEqual({ users: [] })
  })

  test('a user is reached and sent away on every server', async () => {
    const fleet = await startFleet()
    const clients = await Promise.all(fleet.map(({ port }) => connectedClient(port)))
    await Promise.all(clients.map(client => client.signIn({ id: 'ada é' })))
    await pusher(fleet[0]).sendToUser('ada é', 'hello', 1)
    await Promise.all(clients.map(client => client.event('hello')))
    await pusher(fleet[1]).terminateUserConnections('ada%20%C3%A9')
    expect((await Promise.all(clients.map(({ closed }) => closed))).map(({ code }) => code)).toEqual([4009, 4009, 4009])
  })

  test('the last event of a cache channel is there for whoever comes, wherever', async () => {
    const fleet = await startFleet()
    fleet[0].server.hub.broadcast(app.id, 'cache-price', 'price', { euro: 'ü' })
    const early = await connectedClient(fleet[0].port)
    await early.subscribe('cache-price')
    await early.event('price')
    await eventually(async () => JSON.stringify(await asked(fleet[1], '/channels/cache-price', { info: 'cache' })).includes('euro'))
    const client = await connectedClient(fleet[2].port)
    await client.subscribe('cache-price')
    expect(await client.event('price')).toMatchObject({ data: '{"euro":"ü"}' })
    expect(names(client)).not.toContain('pusher:cache_miss')
  })

  test('subscribers are told how many they are in all', async () => {
    const fleet = await startFleet({ apps: [{ ...app, subscriptionCount: true }] })
    const clients = await Promise.all(fleet.map(({ port }) => connectedClient(port)))
    await Promise.all(clients.map(client => client.subscribe('news')))
    await Promise.all(
      clients.map(client =>
        client.message(
          message => message.event === 'pusher_internal:subscription_count' && fieldsOf(message)['subscription_count'] === clients.length,
        ),
      ),
    )
  })

  test('webhooks are told once', async () => {
    const endpoint = await webhookReceiver()
    const fleet = await startFleet(hooked(endpoint.url, ['channel_occupied', 'channel_vacated', 'member_added', 'member_removed']))
    const clients = await Promise.all(fleet.map(({ port }) => connectedClient(port)))
    await Promise.all(clients.map(client => client.join(room, ada)))
    await until(() => endpoint.names().length >= 2)
    for (const client of clients) client.webSocket.close()
    await until(() => endpoint.names().length >= 4)
    await (await connectedClient(fleet[1].port)).subscribe('last')
    await until(() => endpoint.events().some(({ channel }) => channel === 'last'))
    const told = endpoint.events().map(({ name, channel, user_id }) => [name, channel, user_id])
    expect(told.toSorted()).toEqual([
      ['channel_occupied', 'last', undefined],
      ['channel_occupied', room, undefined],
      ['channel_vacated', room, undefined],
      ['member_added', room, 'ada'],
      ['member_removed', room, 'ada'],
    ])
  })

  test('webhooks are told nothing of somebody who moves to another server', async () => {
    const endpoint = await webhookReceiver()
    const fleet = await startFleet(hooked(endpoint.url, ['channel_occupied', 'channel_vacated', 'member_added', 'member_removed']))
    const before = await connectedClient(fleet[0].port)
    await before.join(room, ada)
    await until(() => endpoint.names().length >= 2)
    before.webSocket.close()
    await watched(fleet[1], room, 0)
    const after = await connectedClient(fleet[1].port)
    await after.join(room, ada)
    await after.subscribe('last')
    await until(() => endpoint.events().some(({ channel }) => channel === 'last'))
    expect(endpoint.names()).toHaveLength(3)
  })
}

function hooked(url: string, events: readonly WebhookEvent[] = webhookEvents): ServerSetup {
  return { apps: [{ ...app, webhooks: [{ url, events }] }] }
}

/** Whatever the first server has sent by now has arrived at these. */
async function marked(fleet: readonly RunningServer[], clients: readonly RawClient[], channel = 'marks'): Promise<void> {
  if (channel === 'marks') await Promise.all(clients.map(client => client.subscribe(channel)))
  fleet[0]?.server.hub.broadcast(app.id, channel, 'marker', 1)
  await Promise.all(clients.map(client => client.event('marker')))
}
