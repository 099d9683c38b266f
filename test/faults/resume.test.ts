import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { app, makeServer, until } from '../realtime/harness.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Pages } from './pages.ts'
import { scaled, testLimitMs } from './scale.ts'

const channels = ['kept.a', 'private-kept.b', 'kept.c']
/** Pages come to it while events are sent and connections are cut. */
const later = 'kept.later'

test('connections that are cut at random under load: every sequence is complete and without repeats, or the page was told', {
  timeout: testLimitMs,
}, async () => {
  const { seconds, count } = scaled({ seconds: 4, count: 12 }, { seconds: 60, count: 60 })
  const history = { size: 1_000, ttlMs: 60_000, bytes: 4_000_000 }
  // The last one keeps so little that a second away is too long.
  const rules = { 'kept*': { history }, 'private-kept*': { history }, 'kept.c': { history: { ...history, size: 60 } } }
  const server = makeServer({ channels: rules, apps: [app] })
  const { port } = await server.listen()
  onTestFinished(() => server.close({ graceMs: 500 }))
  const proxy = await TcpProxy.to(port)
  onTestFinished(() => proxy.close())

  let sent = 0
  let isLoaded = false
  const pages = new Pages({
    sent: () => sent,
    began: () => {
      if (isLoaded && Math.random() < 0.2) proxy.cut(() => Math.random() < 0.3)
    },
  })
  for (let index = 0; index < count; index++) pages.open(proxy.port, channels)
  await until(() => server.stats().subscriptions === count * channels.length)

  isLoaded = true
  const endsAt = performance.now() + seconds * 1_000
  while (performance.now() < endsAt) {
    for (let burst = 0; burst < 5; burst++) {
      sent += 1
      for (const channel of [...channels, later]) server.hub.broadcast(app.id, channel, 'tick', { n: sent })
    }
    pages.follow(later, () => Math.random() < 0.02)
    if (Math.random() < 0.1) proxy.cut(() => Math.random() < 0.3)
    await delay(10)
  }
  isLoaded = false
  pages.follow(later)
  // Whoever is away comes back after a second, and the last event tells when all have it.
  await until(() => server.stats().subscriptions === count * (channels.length + 1))
  await delay(100)
  sent += 1
  const last = sent
  for (const channel of [...channels, later]) server.hub.broadcast(app.id, channel, 'tick', { n: last })
  await until(() => [...channels, later].every(channel => pages.haveAll(channel, last)))

  const { resumed, resumeFailures } = server.stats()
  const { faults, told, replayed, repeated } = pages
  console.log(
    `${count} pages, ${channels.length + 1} channels, ${last} events each, ${proxy.cuts} cuts: ` +
      `${resumed} resumed with ${replayed} events, ${told} gaps told (${JSON.stringify(resumeFailures)}), ${faults.length} wrong${faults.length === 0 ? '' : `: ${faults.join(', ')}`}`,
  )
  expect(faults).toEqual([])
  expect(repeated).toBe(0)
  expect(proxy.cuts).toBeGreaterThan(count / 4)
  expect(replayed).toBeGreaterThan(0)
  expect(told).toBeGreaterThan(0)
})
