import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { Conflator } from '../../src/realtime/conflator.ts'
import { app, connectedClient, fieldsOf, hotConfig, type RawClient, startServer } from './harness.ts'

const prices = { conflate: { intervalMs: 60, by: ['symbol'] } }

function received(client: RawClient, event: string): unknown[] {
  return client.received.filter(message => message.event === event).map(message => fieldsOf(message)['n'])
}

test('each socket gets the first event at once and the latest of the others at the end of the interval', async () => {
  const { server, port } = await startServer({ channels: { 'prices.*': prices } })
  const clients = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of clients) await client.subscribe('prices.eur')
  for (let n = 1; n <= 50; n += 1) server.hub.broadcast(app.id, 'prices.eur', 'price', { symbol: 'A', n })
  for (const client of clients) {
    await client.message(() => received(client, 'price').at(-1) === 50)
    expect(received(client, 'price')).toEqual([1, 50])
  }
  expect(server.stats()).toMatchObject({ broadcasts: 50, conflated: 48 })
})

test('each value of `by`, and each event name, is kept apart', async () => {
  const { server, port } = await startServer({ channels: { 'prices.*': prices } })
  const client = await connectedClient(port)
  await client.subscribe('prices.eur')
  for (let n = 1; n <= 10; n += 1) {
    for (const symbol of ['A', 'B', undefined, { deep: 1 }]) server.hub.broadcast(app.id, 'prices.eur', 'price', { symbol, n })
    server.hub.broadcast(app.id, 'prices.eur', 'volume', { symbol: 'A', n })
  }
  await client.message(() => received(client, 'price').filter(n => n === 10).length === 4 && received(client, 'volume').includes(10))
  expect(received(client, 'price').sort()).toEqual([1, 1, 1, 1, 10, 10, 10, 10])
  expect(received(client, 'volume')).toEqual([1, 10])
})

test('without `by` all events of a name are one, and other channels are not touched', async () => {
  const { server, port } = await startServer({ channels: { slow: { conflate: { intervalMs: 50, by: undefined } } } })
  const client = await connectedClient(port)
  await client.subscribe('slow')
  await client.subscribe('other')
  for (let n = 1; n <= 5; n += 1) for (const channel of ['slow', 'other']) server.hub.broadcast(app.id, channel, channel, { symbol: n, n })
  await client.message(() => received(client, 'slow').at(-1) === 5)
  expect(received(client, 'slow')).toEqual([1, 5])
  expect(received(client, 'other')).toEqual([1, 2, 3, 4, 5])
})

test('events of the HTTP API are conflated too, client events are not', async () => {
  const { server, port } = await startServer({ apps: [{ ...app, clientEvents: true }], channels: { '*': prices } })
  const [sender, receiver] = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of [sender, receiver]) await client.join('private-a')
  for (let n = 1; n <= 5; n += 1) sender.send({ event: 'client-move', channel: 'private-a', data: { n } })
  await receiver.message(() => received(receiver, 'client-move').at(-1) === 5)
  expect(received(receiver, 'client-move')).toEqual([1, 2, 3, 4, 5])
  expect(server.stats().conflated).toBe(0)
})

test('a socket that the newer event leaves out gets the older one', async () => {
  const { server, port } = await startServer({ channels: { a: { conflate: { intervalMs: 60, by: undefined } } } })
  const [left, other] = await Promise.all([connectedClient(port), connectedClient(port)])
  for (const client of [left, other]) await client.subscribe('a')
  server.hub.broadcast(app.id, 'a', 'e', { n: 1 })
  server.hub.broadcast(app.id, 'a', 'e', { n: 2 })
  server.hub.broadcast(app.id, 'a', 'e', { n: 3 }, await left.socketId())
  await other.message(() => received(other, 'e').at(-1) === 3)
  expect(received(other, 'e')).toEqual([1, 3])
  await left.settled()
  expect(received(left, 'e')).toEqual([1, 2])
})

test('taking the rule away sends what waits at once', async () => {
  const { server, port } = await startServer({ channels: { a: { conflate: { intervalMs: 60_000, by: undefined } } } })
  const client = await connectedClient(port)
  await client.subscribe('a')
  for (let n = 1; n <= 3; n += 1) server.hub.broadcast(app.id, 'a', 'e', { n })
  server.updateConfig(hotConfig())
  server.hub.broadcast(app.id, 'a', 'e', { n: 4 })
  await client.message(() => received(client, 'e').at(-1) === 4)
  expect(received(client, 'e')).toEqual([1, 3, 4])
})

test('whatever comes when, the last item of each key arrives, in order, and never two of a key within an interval', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  try {
    const step = fc.record({ waitMs: fc.nat(30), key: fc.constantFrom('a', 'b', 'c') })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        const sent: { key: string; n: number; at: number }[] = []
        let replaced = 0
        const conflator = new Conflator<{ key: string; n: number }>({
          intervalMs: 40,
          send: item => sent.push({ ...item, at: performance.now() }),
          sendTo: () => {},
          replaced: () => {
            replaced += 1
          },
        })
        for (const [n, { waitMs, key }] of steps.entries()) {
          vi.advanceTimersByTime(waitMs)
          conflator.offer(key, { key, n }, undefined)
        }
        vi.advanceTimersByTime(1_000)
        expect(sent.length + replaced).toBe(steps.length)
        for (const key of ['a', 'b', 'c']) {
          const offered = steps.flatMap((each, n) => (each.key === key ? [n] : []))
          const got = sent.filter(item => item.key === key)
          expect(got.at(-1)?.n).toBe(offered.at(-1))
          for (const [index, item] of got.entries()) {
            const before = got[index - 1]
            if (before === undefined) continue
            expect(item.n).toBeGreaterThan(before.n)
            expect(item.at - before.at).toBeGreaterThanOrEqual(40)
          }
        }
      }),
      { numRuns: 300 },
    )
  } finally {
    vi.useRealTimers()
  }
  await delay(0)
})
