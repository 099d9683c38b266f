import Pusher from 'pusher'
import { expect, test } from 'vitest'
import { type WebhookEvent, webhookEvents } from '../../src/config/router-config.ts'
import { ChannelRules } from '../../src/realtime/channel-rules.ts'
import { Counters } from '../../src/realtime/counters.ts'
import { fixedTimings, type RealtimeLog } from '../../src/realtime/settings.ts'
import { WebhookSender } from '../../src/realtime/webhook-sender.ts'
import { app, connectedClient, defaults, deferred, silentLog, startServer, until } from './harness.ts'
import { webhookReceiver } from './webhook-receiver.ts'

const quick = { webhookBatchMs: 5, webhookDebounceMs: 60, webhookRetryMs: 10, subscriptionCountMs: 20 }

function hooked(url: string, events: readonly WebhookEvent[] = webhookEvents) {
  return { apps: [{ ...app, clientEvents: true, subscriptionCount: true, webhooks: [{ url, events }] }], timings: quick }
}

test('the pusher package takes them for genuine, and for forged once a byte is changed', async () => {
  const endpoint = await webhookReceiver()
  const { port } = await startServer(hooked(endpoint.url))
  await (await connectedClient(port)).subscribe('news')
  await until(() => endpoint.batches.length > 0)
  const [batch] = endpoint.batches
  if (batch === undefined) throw new Error('no batch')
  const pusher = new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1' })
  const genuine = pusher.webhook(batch)
  expect(genuine.isValid()).toBe(true)
  expect(Math.abs(genuine.getTime().getTime() - Date.now())).toBeLessThan(60_000)
  expect(genuine.getEvents()).toContainEqual({ name: 'channel_occupied', channel: 'news' })
  expect(pusher.webhook({ ...batch, rawBody: batch.rawBody.replace('news', 'mews') }).isValid()).toBe(false)
})

test('everything that happens on channels is told, in its order', async () => {
  const endpoint = await webhookReceiver()
  const { port } = await startServer(
    hooked(
      endpoint.url,
      webhookEvents.filter(name => name !== 'subscription_count'),
    ),
  )
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.join('presence-room', { user_id: 'ada' })
  await second.join('presence-room', { user_id: 'ben' })
  first.send({ event: 'client-hi', channel: 'presence-room', data: { n: 1 } })
  await second.event('client-hi')
  await first.subscribe('cache-empty')
  const socketId = await first.socketId()
  second.webSocket.close()
  await until(() => endpoint.names().includes('member_removed'))
  first.webSocket.close()
  await until(() => endpoint.names().filter(name => name === 'channel_vacated').length === 2)
  const told = endpoint.events()
  expect(told.slice(0, 6)).toEqual([
    { name: 'channel_occupied', channel: 'presence-room' },
    { name: 'member_added', channel: 'presence-room', user_id: 'ada' },
    { name: 'member_added', channel: 'presence-room', user_id: 'ben' },
    { name: 'client_event', channel: 'presence-room', event: 'client-hi', data: '{"n":1}', socket_id: socketId, user_id: 'ada' },
    { name: 'channel_occupied', channel: 'cache-empty' },
    { name: 'cache_miss', channel: 'cache-empty' },
  ])
  expect(told.slice(6)).toEqual(
    expect.arrayContaining([
      { name: 'member_removed', channel: 'presence-room', user_id: 'ben' },
      { name: 'member_removed', channel: 'presence-room', user_id: 'ada' },
      { name: 'channel_vacated', channel: 'presence-room' },
      { name: 'channel_vacated', channel: 'cache-empty' },
    ]),
  )
})

test('counts of subscribers are told', async () => {
  const endpoint = await webhookReceiver()
  const { port } = await startServer(hooked(endpoint.url, ['subscription_count']))
  await (await connectedClient(port)).subscribe('news')
  await until(() => endpoint.batches.length > 0)
  expect(endpoint.events()).toEqual([{ name: 'subscription_count', channel: 'news', subscription_count: 1 }])
})

test('who comes back at once has not left', async () => {
  const endpoint = await webhookReceiver()
  const { port } = await startServer({ ...hooked(endpoint.url), timings: { ...quick, webhookDebounceMs: 5_000 } })
  for (let round = 0; round < 3; round += 1) {
    const client = await connectedClient(port)
    await client.join('presence-room', { user_id: 'ada' })
    client.webSocket.close()
    await client.closed
  }
  const last = await connectedClient(port)
  await last.join('presence-room', { user_id: 'ada' })
  await last.subscribe('marker')
  await until(() => endpoint.events().some(event => event['channel'] === 'marker'))
  expect(endpoint.names().filter(name => name !== 'subscription_count')).toEqual(['channel_occupied', 'member_added', 'channel_occupied'])
})

test('an address hears only what it asked for, and of no user channels', async () => {
  const endpoint = await webhookReceiver()
  const { port } = await startServer(hooked(endpoint.url, ['channel_occupied']))
  const client = await connectedClient(port)
  await client.signIn({ id: 'ada' })
  await client.join('presence-room', { user_id: 'ada' })
  await until(() => endpoint.batches.length > 0)
  expect(endpoint.events()).toEqual([{ name: 'channel_occupied', channel: 'presence-room' }])
})

test.each([500, 404, 302])('a batch that is answered with %i is sent again as it was, and later events wait for it', async status => {
  const endpoint = await webhookReceiver(count => (count <= 3 ? status : 204))
  const { server, port } = await startServer(hooked(endpoint.url, ['channel_occupied']))
  const client = await connectedClient(port)
  await client.subscribe('a')
  await until(() => endpoint.batches.length >= 1)
  await client.subscribe('b')
  await until(() => endpoint.batches.length === 5)
  const bodies = endpoint.batches.map(({ rawBody }) => rawBody)
  expect(new Set(bodies.slice(0, 4)).size).toBe(1)
  expect(endpoint.batches[4]?.events).toEqual([{ name: 'channel_occupied', channel: 'b' }])
  await until(() => server.stats().webhooksSent === 2)
  expect(server.stats()).toMatchObject({ webhookRetries: 3, webhookEventsDropped: 0 })
})

test('an address that never answers is given up, counted, and what comes later has its own time', async () => {
  const endpoint = await webhookReceiver(count => (count < 1_000 ? 500 : 200))
  const setup = hooked(endpoint.url, ['channel_occupied'])
  const { server, port } = await startServer({ ...setup, timings: { ...quick, webhookRetryForMs: 40 } })
  const client = await connectedClient(port)
  for (const [index, channel] of ['a', 'b'].entries()) {
    await client.subscribe(channel)
    await until(() => server.stats().webhookEventsDropped === index + 1)
  }
  expect(server.stats().webhooksSent).toBe(0)
})

function senderTo(url: string, webhookBatchMs: number, counters: Counters, log: RealtimeLog = silentLog) {
  const timings = { ...fixedTimings, ...defaults.timeouts, webhookBatchMs }
  return new WebhookSender({ app, url, counters, settings: { limits: defaults.limits, timings, rules: new ChannelRules([]) }, log })
}

test.each([0, 1, 2, 3, 4, 5, 6, 8])('an event that comes %d steps after a batch was taken is sent without another one', async steps => {
  const endpoint = await webhookReceiver()
  const taken = deferred<void>()
  const counters = Object.defineProperty(new Counters(), 'webhooksSent', { get: () => 0, set: () => taken.resolve() })
  const sender = senderTo(endpoint.url, 5, counters)
  sender.add({ name: 'channel_occupied', channel: 'first' })
  await taken.promise
  for (let step = 0; step < steps; step += 1) await undefined
  sender.add({ name: 'channel_occupied', channel: 'second' })
  await until(() => endpoint.names().length === 2)
})

test('of events that an address does not take only so many wait: the oldest go, are counted, and have one line in the log', async () => {
  const counters = new Counters()
  const lines: object[] = []
  const endpoint = await webhookReceiver()
  const sender = senderTo(endpoint.url, 60_000, counters, { ...silentLog, warn: details => void lines.push(details) })
  for (let index = 0; index < 10_003; index += 1) sender.add({ name: 'channel_occupied', channel: `c${index}` })
  expect(counters.webhookEventsDropped).toBe(3)
  await sender.close(5_000)
  expect(lines).toEqual([{ app: app.id, events: 3, reason: 'too many events wait' }])
  expect(endpoint.events()[0]).toEqual({ name: 'channel_occupied', channel: 'c3' })
  expect(endpoint.batches[0]?.events).toHaveLength(100)
})

test('what waits is tried once more when the server stops', async () => {
  const endpoint = await webhookReceiver()
  const { server, port } = await startServer({ ...hooked(endpoint.url, ['channel_occupied']), timings: { webhookBatchMs: 60_000 } })
  await (await connectedClient(port)).subscribe('news')
  await server.close({ graceMs: 2_000 })
  expect(endpoint.events()).toEqual([{ name: 'channel_occupied', channel: 'news' }])
})
