import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { resumable } from '../../src/client/resumable.ts'
import { channelAuth } from '../../src/realtime/signature.ts'
import { app, makeServer, pusherClient, until } from '../realtime/harness.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { scaled, testLimitMs } from './scale.ts'

const channels = ['kept.a', 'private-kept.b', 'kept.c']

/** What one page has got of one channel, and where it was told that something is missing: the number that came next. */
interface Sequence {
  readonly got: number[]
  /** It was told of a gap that stands before the next event. */
  isGapTold: boolean
  readonly toldBefore: Set<number>
}

test('connections that are cut at random under load: every sequence is complete and without repeats, or the page was told', {
  timeout: testLimitMs,
}, async () => {
  const { seconds, pages } = scaled({ seconds: 4, pages: 12 }, { seconds: 60, pages: 60 })
  const history = { size: 1_000, ttlMs: 60_000, bytes: 4_000_000 }
  // The last one keeps so little that a second away is too long.
  const rules = { 'kept*': { history }, 'private-kept*': { history }, 'kept.c': { history: { ...history, size: 60 } } }
  const server = makeServer({ channels: rules, apps: [app] })
  const { port } = await server.listen()
  onTestFinished(() => server.close({ graceMs: 500 }))
  const proxy = await TcpProxy.to(port)
  onTestFinished(() => proxy.close())

  const sequences: Sequence[] = []
  let replayed = 0
  for (let index = 0; index < pages; index++) {
    const pusher = pusherClient(proxy.port, { channelAuthorization: { transport: 'ajax', endpoint: '', customHandler: authorize } })
    const ofPage = new Map<string, Sequence>()
    resumable(pusher, {
      onGap: channel => {
        const sequence = ofPage.get(channel)
        if (sequence !== undefined) sequence.isGapTold = true
      },
      onResumed: (_, count) => {
        replayed += count
      },
    })
    for (const name of channels) {
      const sequence: Sequence = { got: [], isGapTold: false, toldBefore: new Set() }
      ofPage.set(name, sequence)
      sequences.push(sequence)
      pusher.subscribe(name).bind('tick', ({ n }: { n: number }) => {
        if (sequence.isGapTold) sequence.toldBefore.add(n)
        sequence.isGapTold = false
        sequence.got.push(n)
      })
    }
  }
  await until(() => server.stats().subscriptions === pages * channels.length)

  const endsAt = performance.now() + seconds * 1_000
  let sent = 0
  while (performance.now() < endsAt) {
    for (let burst = 0; burst < 5; burst++) {
      sent += 1
      for (const channel of channels) server.hub.broadcast(app.id, channel, 'tick', { n: sent })
    }
    if (Math.random() < 0.1) proxy.cut(() => Math.random() < 0.3)
    await delay(10)
  }
  // Whoever is away comes back after a second, and the last event tells when all have it.
  await until(() => server.stats().subscriptions === pages * channels.length)
  await delay(100)
  const last = sent + 1
  for (const channel of channels) server.hub.broadcast(app.id, channel, 'tick', { n: last })
  await until(() => sequences.every(({ got }) => got.at(-1) === last))

  const wrong = sequences.flatMap(faultsOf)
  const { resumed, resumeFailures } = server.stats()
  const told = sequences.reduce((sum, { toldBefore }) => sum + toldBefore.size, 0)
  console.log(
    `${pages} pages, ${channels.length} channels, ${last} events each, ${proxy.cuts} cuts: ` +
      `${resumed} resumed with ${replayed} events, ${told} gaps told (${JSON.stringify(resumeFailures)}), ${wrong.length} wrong${wrong.length === 0 ? '' : `: ${wrong.join(', ')}`}`,
  )
  expect(wrong).toEqual([])
  expect(proxy.cuts).toBeGreaterThan(pages / 4)
  expect(replayed).toBeGreaterThan(0)
  expect(told).toBeGreaterThan(0)
})

function faultsOf({ got, toldBefore }: Sequence): string[] {
  return got.flatMap((n, index) => {
    const before = index === 0 ? undefined : got[index - 1]
    if (before === undefined || n === before + 1) return []
    return n > before && toldBefore.has(n) ? [] : [`${before} then ${n}`]
  })
}

function authorize(
  { socketId, channelName }: { socketId: string; channelName: string },
  done: (error: null, auth: { auth: string }) => void,
) {
  done(null, { auth: channelAuth(app, socketId, channelName) })
}
