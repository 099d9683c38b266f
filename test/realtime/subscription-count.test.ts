import { expect, test } from 'vitest'
import { app, connectedClient, fieldsOf, nextOf, pusherClient, type RawClient, startServer } from './harness.ts'

const counting = { ...app, subscriptionCount: true }
const quick = { subscriptionCountMs: 20 }

function counts(client: RawClient): unknown[] {
  return client.received
    .filter(({ event }) => event === 'pusher_internal:subscription_count')
    .map(message => fieldsOf(message)['subscription_count'])
}

test('subscribers are told how many they are, when somebody comes and when somebody goes', async () => {
  const { port } = await startServer({ apps: [counting], timings: quick })
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  await first.subscribe('news')
  await first.message(() => counts(first).at(-1) === 1)
  await second.subscribe('news')
  await first.message(() => counts(first).at(-1) === 2)
  second.webSocket.close()
  await first.message(() => counts(first).at(-1) === 1)
})

test('many at once are gathered', async () => {
  const { port } = await startServer({ apps: [counting], timings: { subscriptionCountMs: 300 } })
  const watcher = await connectedClient(port)
  await watcher.subscribe('news')
  const others = await Promise.all(Array.from({ length: 20 }, () => connectedClient(port)))
  await Promise.all(others.map(client => client.subscribe('news')))
  await watcher.message(() => counts(watcher).at(-1) === 21)
  expect(counts(watcher).length).toBeLessThan(12)
})

test.each([
  ['without the option', [app], 'news', undefined],
  ['on presence channels', [counting], 'presence-news', { user_id: 'ada' }],
])('nothing is told %s', async (_where, apps, channel, member) => {
  const { server, port } = await startServer({ apps, timings: quick })
  const [first, second] = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of [first, second]) await client.join(channel, member)
  // Two turns of the event loop behind the last change, it would have been told.
  await second.settled()
  server.hub.broadcast(app.id, channel, 'marker', 1)
  await first.event('marker')
  expect(counts(first)).toEqual([])
})

test('pusher-js shows it', async () => {
  const { port } = await startServer({ apps: [counting] })
  const channel = pusherClient(port).subscribe('news')
  expect(await nextOf(channel, 'pusher:subscription_count')).toEqual({ subscription_count: 1 })
  expect(channel.subscriptionCount).toBe(1)
})
