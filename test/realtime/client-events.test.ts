import { expect, test } from 'vitest'
import { app, connectedClient, fieldsOf, nextOf, pusherClient, startServer } from './harness.ts'

const chatty = { ...app, clientEvents: true }

test('a client event reaches the others on the channel and not its sender', async () => {
  const { server, port } = await startServer({ apps: [chatty] })
  const [sender, receiver] = await Promise.all([connectedClient(port), connectedClient(port)])
  await sender.join('private-chat')
  await receiver.join('private-chat')
  sender.send({ event: 'client-typing', channel: 'private-chat', data: { who: 'größe' } })
  expect(await receiver.event('client-typing')).toEqual({
    event: 'client-typing',
    channel: 'private-chat',
    data: JSON.stringify({ who: 'größe' }),
  })
  await sender.settled()
  expect(sender.received.some(({ event }) => event === 'client-typing')).toBe(false)
  expect(server.stats()).toMatchObject({ clientEvents: 1, refusals: {} })
})

test('on a presence channel it says who sent it', async () => {
  const { port } = await startServer({ apps: [chatty] })
  const [sender, receiver] = await Promise.all([connectedClient(port), connectedClient(port)])
  await sender.join('presence-chat', { user_id: 'a"da' })
  await receiver.join('presence-chat', { user_id: 'ben' })
  sender.send({ event: 'client-typing', channel: 'presence-chat', data: 'text stays text' })
  expect(await receiver.event('client-typing')).toMatchObject({ user_id: 'a"da', data: 'text stays text' })
})

test('pusher-js triggers and receives them', async () => {
  const { port, http } = await startServer({ mode: 'dev', apps: [chatty] })
  const options = { channelAuthorization: { endpoint: `${http}/pusher/auth`, transport: 'ajax' as const } }
  const channels = [pusherClient(port, options), pusherClient(port, options)].map(client => client.subscribe('private-chat'))
  await Promise.all(channels.map(channel => nextOf(channel, 'pusher:subscription_succeeded')))
  const [sender, receiver] = channels
  if (sender === undefined || receiver === undefined) throw new Error('two clients were made')
  const received = nextOf(receiver, 'client-typing')
  sender.trigger('client-typing', { letters: 3 })
  expect(await received).toEqual({ letters: 3 })
})

test.each([
  ['where the app does not enable them', { apps: [app] }, 'private-chat', 'client-a'],
  ['where a rule forbids them', { apps: [chatty], channels: { 'private-*': { clientEvents: false } } }, 'private-chat', 'client-a'],
  ['on a public channel', { apps: [chatty] }, 'chat', 'client-a'],
  ['on a channel the sender has not subscribed to', { apps: [chatty] }, undefined, 'client-a'],
  ['with a name over the limit', { apps: [chatty], limits: { eventName: 10 } }, 'private-chat', `client-${'x'.repeat(10)}`],
])('they are refused with 4301 %s, and the connection stays', async (_where, setup, channel, event) => {
  const { server, port } = await startServer(setup)
  const client = await connectedClient(port)
  if (channel !== undefined) await client.join(channel)
  client.send({ event, channel: channel ?? 'private-chat', data: {} })
  expect(fieldsOf(await client.event('pusher:error'))).toEqual({ code: 4301, message: expect.any(String) })
  await client.settled()
  expect(server.stats()).toMatchObject({ clientEvents: 0, refusals: { 'client-event': 1 }, closes: {} })
})

test('a rule allows them where the app does not', async () => {
  const { server, port } = await startServer({ channels: { 'private-chat': { clientEvents: true } } })
  const client = await connectedClient(port)
  await client.join('private-chat')
  client.send({ event: 'client-a', channel: 'private-chat', data: {} })
  await client.settled()
  expect(server.stats().clientEvents).toBe(1)
})

test('data over the limit is refused, in bytes', async () => {
  const { server, port } = await startServer({ apps: [chatty], channels: { 'private-small': { limits: { data: 20 } } } })
  const client = await connectedClient(port)
  await client.join('private-chat')
  await client.join('private-small')
  client.send({ event: 'client-a', channel: 'private-chat', data: '€'.repeat(4_000) })
  client.send({ event: 'client-a', channel: 'private-small', data: 'x'.repeat(21) })
  client.send({ event: 'client-a', channel: 'private-small', data: 'x'.repeat(20) })
  await client.settled()
  expect(server.stats()).toMatchObject({ clientEvents: 1, refusals: { 'client-event': 2 } })
})

test('a rule that allows few allows no more where another allows many', async () => {
  const { server, port } = await startServer({
    apps: [chatty],
    channels: { 'private-slow': { limits: { clientEvents: 2 } }, 'private-fast.*': { limits: { clientEvents: 1_000 } } },
    limits: { clientFrames: 10_000 },
  })
  const [sender, receiver] = [await connectedClient(port), await connectedClient(port)]
  await receiver.join('private-slow')
  for (const channel of ['private-slow', 'private-fast.1', 'private-fast.2', 'private-chat']) await sender.join(channel)
  const startedAt = performance.now()
  for (let count = 0; count < 200; count += 1) {
    for (const channel of ['private-fast.1', 'private-slow', 'private-fast.2']) sender.send({ event: 'client-a', channel, data: {} })
    await sender.settled()
  }
  const tookSeconds = (performance.now() - startedAt) / 1_000
  for (let count = 0; count < 10; count += 1) sender.send({ event: 'client-a', channel: 'private-chat', data: {} })
  await sender.settled()
  await receiver.settled()
  const slow = receiver.received.filter(({ event }) => event === 'client-a').length
  expect(slow).toBeGreaterThanOrEqual(2)
  expect(slow).toBeLessThanOrEqual(2 + 2 * tookSeconds)
  // What other rules allowed is not missing from the server's own rate.
  expect(server.stats().clientEvents).toBeGreaterThanOrEqual(slow + 400 + 10)
})

test('past 10 in a second they are refused and counted, and a rule may allow more', async () => {
  const { server, port } = await startServer({ apps: [chatty], channels: { 'private-fast': { limits: { clientEvents: 40 } } } })
  for (const [channel, allowed] of [
    ['private-chat', 10],
    ['private-fast', 40],
  ] as const) {
    const before = server.stats().clientEvents
    const client = await connectedClient(port)
    await client.join(channel)
    for (let count = 0; count < 60; count += 1) client.send({ event: 'client-a', channel, data: {} })
    await client.settled()
    const sent = server.stats().clientEvents - before
    // A slow machine may take long enough for more to be allowed.
    expect(sent).toBeGreaterThanOrEqual(allowed)
    expect(sent).toBeLessThan(60)
  }
  expect(server.stats().refusals['client-event-rate']).toBeGreaterThan(0)
})
