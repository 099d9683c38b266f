import Pusher from 'pusher'
import { expect, test } from 'vitest'
import {
  type Append,
  type Appended,
  type History,
  type HistoryListener,
  type HistoryStats,
  HistoryUnavailable,
  type Position,
  type Replay,
} from '../../src/realtime/history/history.ts'
import { MemoryHistory } from '../../src/realtime/history/memory-history.ts'
import { app, connectedClient, deferred, fieldsOf, type RawClient, type RunningServer, startServer } from './harness.ts'
import { made } from './history-contract.ts'

const rules = { kept: { history: { size: 100, ttlMs: 60_000, bytes: 1_000_000 } } }

/** A history as one in another process is: it answers later, delivers later still where it is told to, and may be away. */
class SlowHistory implements History {
  isAway = false
  /** Deliveries wait for `deliver` while this is set. */
  late: (() => void)[] | undefined
  /** What `since` waits for. */
  gate: Promise<void> = Promise.resolve()
  readonly listener: HistoryListener
  readonly #inner: MemoryHistory

  constructor(listener: HistoryListener) {
    this.listener = listener
    this.#inner = new MemoryHistory({
      limits: () => ({ bytes: 64_000_000 }),
      listener: {
        deliver: (...given) => {
          if (this.late === undefined) listener.deliver(...given)
          else this.late.push(() => listener.deliver(...given))
        },
        lost: (...given) => listener.lost(...given),
      },
    })
  }

  deliver(): void {
    const late = this.late ?? []
    this.late = undefined
    for (const each of late) each()
  }

  append(entry: Append): Promise<Appended> {
    return this.#answer(() => this.#inner.append(entry))
  }

  async since(name: string, channel: string, position: Position): Promise<Replay> {
    await this.gate
    return await this.#answer(() => this.#inner.since(name, channel, position))
  }

  position(name: string, channel: string): Promise<Position> {
    return this.#answer(() => this.#inner.position(name, channel))
  }

  retain(isKept: (app: string, channel: string) => boolean): void {
    this.#inner.retain(isKept)
  }

  stats(): HistoryStats {
    return this.#inner.stats()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  async #answer<Value>(ask: () => Value): Promise<Value> {
    await new Promise(resolve => setImmediate(resolve))
    if (this.isAway) throw new HistoryUnavailable('the history is away')
    return ask()
  }
}

async function start(): Promise<RunningServer & { readonly history: SlowHistory }> {
  const opened: SlowHistory[] = []
  const running = await startServer({
    channels: rules,
    timings: { resumeMs: 60_000 },
    openHistory: listener => {
      const history = new SlowHistory(listener)
      opened.push(history)
      return history
    },
  })
  const [history] = opened
  if (history === undefined) throw new Error('no history was opened')
  return { ...running, history }
}

async function tracked(port: number): Promise<RawClient> {
  const client = await connectedClient(port)
  client.send({ event: 'router:track', data: {} })
  await client.subscribe('kept')
  return client
}

async function stopOf(client: RawClient): Promise<Readonly<Record<string, unknown>>> {
  client.send({ event: 'router:resume', data: { channel: 'kept' } })
  return fieldsOf(await client.event('router:position'))
}

function got(client: RawClient): unknown[] {
  return client.received.filter(({ event }) => event === 'e').map(message => fieldsOf(message)['n'])
}

async function send({ server }: RunningServer, ...ns: readonly number[]): Promise<void> {
  for (const n of ns) await server.hub.broadcast(app.id, 'kept', 'e', { n })
}

function positionAt(client: RawClient, serial: number): Promise<unknown> {
  return client.message(message => message.event === 'router:position' && fieldsOf(message)['serial'] === serial)
}

test('a broadcast is done when the history has it, and what comes while it is asked is held', async () => {
  const running = await start()
  const stop = await stopOf(await tracked(running.port))
  await send(running, 1, 2)
  const client = await tracked(running.port)
  const gate = deferred<void>()
  running.history.gate = gate.promise
  client.send({ event: 'router:resume', data: stop })
  await client.settled()
  await send(running, 3)
  await client.settled()
  expect(got(client)).toEqual([])
  gate.resolve()
  await client.event('router:resumed')
  await send(running, 4)
  await positionAt(client, 4)
  expect(got(client)).toEqual([1, 2, 3, 4])
})

test('what a replay has brought already is not sent again when it is delivered later', async () => {
  const running = await start()
  const stop = await stopOf(await tracked(running.port))
  running.history.late = []
  await send(running, 1, 2)
  const client = await tracked(running.port)
  client.send({ event: 'router:resume', data: stop })
  await client.event('router:resumed')
  await positionAt(client, 2)
  running.history.deliver()
  await send(running, 3)
  await positionAt(client, 3)
  expect(got(client)).toEqual([1, 2, 3])
})

test('the history away: broadcasts and the HTTP API say so, clients are told and go on when it is back', async () => {
  const running = await start()
  const stop = await stopOf(await tracked(running.port))
  const client = await tracked(running.port)
  running.history.isAway = true
  await expect(send(running, 1)).rejects.toThrow(HistoryUnavailable)
  const api = new Pusher({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(running.port), useTLS: false })
  await expect(api.trigger('kept', 'e', { n: 1 })).rejects.toMatchObject({ status: 503 })
  await expect(api.triggerBatch([{ channel: 'kept', name: 'e', data: { n: 1 } }])).rejects.toMatchObject({ status: 503 })
  client.send({ event: 'router:resume', data: stop })
  expect(fieldsOf(await client.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'unavailable' })
  running.history.isAway = false
  await send(running, 2)
  await positionAt(client, 1)
  expect(got(client)).toEqual([2])
})

test('what the history has lost is told to whoever keeps track, with the place from which it goes on', async () => {
  const running = await start()
  const client = await tracked(running.port)
  await stopOf(client)
  running.history.listener.lost(app.id, 'kept', { epoch: 'next', serial: 40 }, 'epoch_changed')
  expect(fieldsOf(await client.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'epoch_changed' })
  expect(await positionAt(client, 40)).toMatchObject({ data: JSON.stringify({ channel: 'kept', epoch: 'next', serial: 40 }) })
})

test('what was lost while events waited is told where it belongs: after what came before, before what came after', async () => {
  const running = await start()
  const client = await tracked(running.port)
  await send(running, 1)
  const { listener } = running.history
  listener.lost(app.id, 'kept', { epoch: 'next', serial: 7 }, 'epoch_changed')
  listener.deliver(app.id, 'kept', { ...made('e', '{"n":8}').made, at: { epoch: 'next', serial: 8 } }, undefined)
  client.send({ event: 'router:resume', data: { channel: 'kept' } })
  await positionAt(client, 8)
  const said = client.received.filter(({ event }) => event === 'e' || event === 'router:resume_failed')
  expect(said.map(message => fieldsOf(message)['n'] ?? fieldsOf(message)['reason'])).toEqual([1, 'epoch_changed', 8])
})

test('a client that is gone before the history answers is nobody to answer', async () => {
  const running = await start()
  const stop = await stopOf(await tracked(running.port))
  await send(running, 1)
  const client = await tracked(running.port)
  const gate = deferred<void>()
  running.history.gate = gate.promise
  client.send({ event: 'router:resume', data: stop })
  client.send({ event: 'pusher:unsubscribe', data: { channel: 'kept' } })
  await client.settled()
  gate.resolve()
  await client.settled()
  expect(got(client)).toEqual([])
  expect(running.server.stats().resumed).toBe(0)
})
