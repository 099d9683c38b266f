import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { expect, onTestFinished, test } from 'vitest'
import { type GapReason, resumable } from '../../src/client/resumable.ts'
import { HistoryUnavailable } from '../../src/realtime/history/history.ts'
import { MemoryHistory } from '../../src/realtime/history/memory-history.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { app, makeServer, nextOf, pusherClient, type RunningServer, startServer, until } from './harness.ts'

const history = { size: 100, ttlMs: 60_000, bytes: 1_000_000 }

async function start(size = 100): Promise<{ running: RunningServer; proxy: TcpProxy; send: (...ns: readonly number[]) => void }> {
  const running = await startServer({ channels: { 'kept*': { history: { ...history, size } } } })
  const proxy = await TcpProxy.to(running.port)
  onTestFinished(() => proxy.close())
  const send = (...ns: readonly number[]) => {
    for (const n of ns) running.server.hub.broadcast(app.id, 'kept', 'e', { n })
  }
  return { running, proxy, send }
}

/** A page with one line more than others: what it gets, and what it is told. */
async function page(port: number) {
  const got: unknown[] = []
  const gaps: [string, GapReason][] = []
  const resumed: [string, number][] = []
  const pusher = pusherClient(port)
  resumable(pusher, { onGap: (...gap) => gaps.push(gap), onResumed: (...of) => resumed.push(of) })
  const channel = pusher.subscribe('kept')
  channel.bind('e', ({ n }: { n: unknown }) => got.push(n))
  await nextOf(channel, 'pusher:subscription_succeeded')
  return { pusher, channel, got, gaps, resumed }
}

test('pusher-js gets what it missed while it was cut off, in order, and its events look like any other', async () => {
  const { running, proxy, send } = await start()
  const { got, gaps, resumed } = await page(proxy.port)
  send(1, 2)
  await until(() => got.length === 2)
  proxy.cutAll()
  await until(() => running.server.stats().sockets === 0)
  send(3, 4)
  await until(() => resumed.length === 1)
  send(5)
  await until(() => got.length === 5)
  expect(got).toEqual([1, 2, 3, 4, 5])
  expect(resumed).toEqual([['kept', 2]])
  expect(gaps).toEqual([])
})

test('what it missed for good it is told of, and goes on', async () => {
  const { running, proxy, send } = await start(2)
  const { got, gaps } = await page(proxy.port)
  send(1)
  await until(() => got.length === 1)
  proxy.cutAll()
  await until(() => running.server.stats().sockets === 0)
  send(2, 3, 4)
  await until(() => gaps.length === 1)
  send(5)
  await until(() => got.length === 2)
  expect(got).toEqual([1, 5])
  expect(gaps).toEqual([['kept', 'position_expired']])
})

test('a router that was started anew has no history, and pages are told so', async () => {
  const first = makeServer({ channels: { kept: { history } } })
  const { port } = await first.listen()
  const { got, gaps } = await page(port)
  first.hub.broadcast(app.id, 'kept', 'e', { n: 1 })
  await until(() => got.length === 1)
  await first.close({ graceMs: 100 })
  const second = makeServer({ channels: { kept: { history } } }, port)
  await second.listen()
  onTestFinished(() => second.close({ graceMs: 100 }))
  second.hub.broadcast(app.id, 'kept', 'e', { n: 2 })
  await until(() => gaps.length === 1)
  second.hub.broadcast(app.id, 'kept', 'e', { n: 3 })
  await until(() => got.length === 2)
  expect(got).toEqual([1, 3])
  expect(gaps).toEqual([['kept', 'epoch_changed']])
})

test('a channel that the page has left and comes back to begins anew', async () => {
  const { send, proxy } = await start()
  const { pusher, got, resumed, gaps } = await page(proxy.port)
  send(1)
  await until(() => got.length === 1)
  pusher.unsubscribe('kept')
  pusher.subscribe('other')
  await nextOf(pusher.channel('other'), 'pusher:subscription_succeeded')
  send(2)
  const again = pusher.subscribe('kept')
  again.bind('e', ({ n }: { n: unknown }) => got.push(n))
  await nextOf(again, 'pusher:subscription_succeeded')
  send(3)
  await until(() => got.length === 2)
  expect(got).toEqual([1, 3])
  expect([...resumed, ...gaps]).toEqual([])
})

test('cut off before it was told where it stands, it is told that nobody knows what it missed, before anything newer', async () => {
  let isAway = true
  const running = await startServer({
    channels: { kept: { history } },
    openHistory: listener => {
      const inner = new MemoryHistory({ limits: () => ({ bytes: 1_000_000 }), listener })
      return {
        append: entry => inner.append(entry),
        since: (...asked) => inner.since(...asked),
        position: (...asked) => (isAway ? Promise.reject(new HistoryUnavailable('away')) : inner.position(...asked)),
        retain: isKept => inner.retain(isKept),
        stats: () => inner.stats(),
        close: () => inner.close(),
      }
    },
  })
  const proxy = await TcpProxy.to(running.port)
  onTestFinished(() => proxy.close())
  const { pusher, got, gaps } = await page(proxy.port)
  const plain = pusher.subscribe('plain')
  await nextOf(plain, 'pusher:subscription_succeeded')
  const order: unknown[] = []
  pusher.connection.bind('message', ({ event }: { event: string }) => order.push(event))
  proxy.cutAll()
  await until(() => running.server.stats().sockets === 0)
  running.server.hub.broadcast(app.id, 'kept', 'e', { n: 1 })
  isAway = false
  await until(() => running.server.stats().subscriptions === 2)
  running.server.hub.broadcast(app.id, 'kept', 'e', { n: 2 })
  await until(() => got.length === 1)
  expect(got).toEqual([2])
  expect(gaps).toEqual([['kept', 'unavailable']])
  expect(order.indexOf('router:resume_failed')).toBeLessThan(order.indexOf('e'))
  // A channel without history has nothing to be told of.
  expect(order).not.toContain('pusher:error')
})

test('cut off again between a gap and the next place, it says that it was here before', () => {
  // A connection that breaks at that very moment: too short a time for a real one to be cut on purpose.
  const { tell, changeState, sent, gaps } = handDriven()
  const subscribed = () => tell({ event: 'pusher_internal:subscription_succeeded', channel: 'kept' })
  subscribed()
  expect(sent.at(-1)).toEqual(['router:resume', { channel: 'kept' }])
  tell({ event: 'router:position', data: { channel: 'kept', epoch: 'e', serial: 1 } })
  changeState()
  subscribed()
  tell({ event: 'router:resume_failed', data: { channel: 'kept', reason: 'position_expired' } })
  tell({ event: 'e', channel: 'kept', data: {} })
  changeState()
  subscribed()
  expect(sent.at(-1)).toEqual(['router:resume', { channel: 'kept', returning: true }])
  expect(gaps).toEqual([['kept', 'position_expired']])
})

test('what it counts is what the router keeps: all events but those of the protocol and of other clients', () => {
  const { tell, changeState, sent } = handDriven()
  tell({ event: 'pusher_internal:subscription_succeeded', channel: 'kept' })
  tell({ event: 'router:position', data: { channel: 'kept', epoch: 'e', serial: 1 } })
  for (const event of ['pushers.updated', 'pusher_internal.moved', 'clients.joined']) tell({ event, channel: 'kept', data: {} })
  for (const event of ['pusher:cache_miss', 'pusher_internal:subscription_count', 'client-typing'])
    tell({ event, channel: 'kept', data: {} })
  changeState()
  tell({ event: 'pusher_internal:subscription_succeeded', channel: 'kept' })
  expect(sent.at(-1)).toEqual(['router:resume', { channel: 'kept', epoch: 'e', serial: 1, received: 3, socket_id: '1.1' }])
})

function handDriven() {
  const heard = new Map<string, (message: never) => void>()
  const sent: [string, object][] = []
  const gaps: [string, GapReason][] = []
  const connection = {
    state: 'connected',
    socket_id: '1.1',
    bind: (event: string, callback: (message: never) => void) => heard.set(event, callback),
    unbind: () => {},
  }
  resumable({ connection, channel: () => ({}), send_event: (name, data) => sent.push([name, data]) }, { onGap: (...gap) => gaps.push(gap) })
  const tell = (message: object) => heard.get('message')?.(message as never)
  return { tell, changeState: () => heard.get('state_change')?.({} as never), sent, gaps }
}

test('it takes less than 2 kB, minified and compressed', async () => {
  const entry = fileURLToPath(new URL('../../src/client/resumable.ts', import.meta.url))
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: { write: false, minify: true, lib: { entry, formats: ['es'], fileName: 'client' } },
  })
  const code = (Array.isArray(built) ? built : [built]).flatMap(result => ('output' in result ? result.output : []))
  const text = code.map(chunk => ('code' in chunk ? chunk.code : '')).join('')
  expect(text).toContain('router:track')
  const bytes = gzipSync(text).length
  console.log(`signalbox/client: ${text.length} bytes minified, ${bytes} compressed`)
  expect(bytes).toBeLessThan(2_048)
})
