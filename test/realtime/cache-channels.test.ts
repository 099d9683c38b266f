import { expect, test } from 'vitest'
import { cachedLifeMs, EventCache } from '../../src/realtime/event-cache.ts'
import { app, connectedClient, nextOf, pusherClient, startServer } from './harness.ts'

const member = { user_id: 'ada' }

test.each([
  ['cache-news', undefined],
  ['private-cache-news', undefined],
  ['presence-cache-news', member],
  ['private-encrypted-cache-news', undefined],
])('%s sends its last event right after the subscription, else says that there is none', async (channel, who) => {
  const { server, port } = await startServer()
  const early = await connectedClient(port)
  await early.join(channel, who)
  const missed = await early.event('pusher:cache_miss', channel)
  expect(missed).toEqual({ event: 'pusher:cache_miss', channel })
  const ciphertext = { nonce: 'n', ciphertext: 'c' }
  server.hub.broadcast(app.id, channel, 'old', ciphertext)
  server.hub.broadcast(app.id, channel, 'new', ciphertext)
  const late = await connectedClient(port)
  await late.join(channel, who)
  await late.settled()
  const events = late.received.map(({ event }) => event)
  expect(events.slice(1, 3)).toEqual(['pusher_internal:subscription_succeeded', 'new'])
  expect(events).not.toContain('pusher:cache_miss')
})

test('the last event is kept when nobody is subscribed, and wanted by whoever asks', async () => {
  const { server, port } = await startServer()
  expect(server.hub.hasSubscribers(app.id, 'cache-news')).toBe(true)
  expect(server.hub.hasSubscribers(app.id, 'news-cache-')).toBe(false)
  server.hub.broadcast(app.id, 'cache-news', 'headline', { text: 'first' })
  const channel = pusherClient(port).subscribe('cache-news')
  expect(await nextOf(channel, 'headline')).toEqual({ text: 'first' })
})

test('pusher-js hears of a cache miss', async () => {
  const { port } = await startServer()
  await nextOf(pusherClient(port).subscribe('cache-empty'), 'pusher:cache_miss')
})

test('client events are not kept', async () => {
  const { port } = await startServer({ apps: [{ ...app, clientEvents: true }] })
  const [sender, receiver] = await Promise.all([connectedClient(port), connectedClient(port)])
  await sender.join('private-cache-chat')
  await receiver.join('private-cache-chat')
  sender.send({ event: 'client-typing', channel: 'private-cache-chat', data: {} })
  await receiver.event('client-typing')
  const late = await connectedClient(port)
  await late.join('private-cache-chat')
  await late.event('pusher:cache_miss')
})

test('an event is kept for 30 minutes, and of so many channels only', () => {
  const cache = new EventCache()
  expect(cachedLifeMs).toBe(30 * 60_000)
  const event = { event: '"e"', data: '"d"', text: 'd', until: cachedLifeMs }
  cache.set('a', event, 0, 2)
  expect(cache.get('a', 30 * 60_000 - 1)).toMatchObject(event)
  expect(cache.get('a', 30 * 60_000)).toBeUndefined()
  for (const [index, name] of ['a', 'b', 'a', 'c'].entries()) cache.set(name, event, index, 2)
  expect(['a', 'b', 'c'].map(name => cache.get(name, 4) !== undefined)).toEqual([true, false, true])
})
