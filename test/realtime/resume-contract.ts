import { describe, expect, test } from 'vitest'
import { app, connectedClient, fieldsOf, hotConfig, type RawClient, type RunningServer, type ServerSetup, until } from './harness.ts'

const history = { size: 100, ttlMs: 60_000, bytes: 1_000_000 }
export const keepingRules = { 'kept*': { history }, 'cache-kept': { history }, 'private-kept': { history }, 'presence-kept': { history } }

export interface Stop {
  readonly channel: string
  readonly epoch: string
  readonly serial: number
}

/** What has come of a channel's own events: the `n` of their data. */
export function got(client: RawClient, channel: string): unknown[] {
  return client.received
    .filter(message => message.channel === channel && !/^pusher/.test(message.event))
    .map(message => fieldsOf(message)['n'])
}

function positions(client: RawClient): Stop[] {
  return client.received.filter(({ event }) => event === 'router:position').map(stopOf)
}

function stopOf(message: RawClient['received'][number]): Stop {
  const { channel, epoch, serial } = fieldsOf(message)
  return { channel: String(channel), epoch: String(epoch), serial: Number(serial) }
}

export async function position(client: RawClient, channel: string, serial?: number): Promise<Stop> {
  const found = await client.message(
    message =>
      message.event === 'router:position' &&
      fieldsOf(message)['channel'] === channel &&
      (serial === undefined || fieldsOf(message)['serial'] === serial),
  )
  return stopOf(found)
}

/** Tracked, subscribed, and going on from wherever the channel is. */
export async function follower(port: number, channel: string): Promise<RawClient> {
  const client = await tracked(port)
  await client.subscribe(channel)
  client.send({ event: 'router:resume', data: { channel } })
  await position(client, channel)
  return client
}

async function tracked(port: number): Promise<RawClient> {
  const client = await connectedClient(port)
  client.send({ event: 'router:track', data: {} })
  return client
}

/** Subscribed again, and gone on from `stop`. */
export async function returned(port: number, stop: Stop, more: Readonly<Record<string, unknown>> = {}): Promise<RawClient> {
  const client = await tracked(port)
  await client.subscribe(stop.channel)
  client.send({ event: 'router:resume', data: { ...stop, ...more } })
  return client
}

/** Done when the history has them. */
export function sends({ server }: RunningServer, channel: string): (...ns: readonly number[]) => Promise<void> {
  return async (...ns) => {
    await Promise.all(ns.map(n => server.hub.broadcast(app.id, channel, 'e', { n })))
  }
}

async function trackedMember(port: number): Promise<Stop> {
  const client = await tracked(port)
  await client.join('private-kept')
  client.send({ event: 'router:resume', data: { channel: 'private-kept' } })
  return position(client, 'private-kept')
}

function startOf({ epoch, serial }: Stop): Omit<Stop, 'channel'> {
  return { epoch, serial }
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, n) => n + 1)
}

function countOf(client: RawClient, name: string): number {
  return client.received.filter(({ event }) => event === name).length
}

/** That something may be missing is said before anything that comes after it. */
function expectToldFirst(client: RawClient): void {
  const names = client.received.map(({ event }) => event)
  const told = names.indexOf('router:resume_failed')
  expect(told).toBeGreaterThan(-1)
  expect(told).toBeLessThan(names.indexOf('e'))
  expect(told).toBeLessThan(names.indexOf('router:position'))
}

/** What a client that keeps track gets, whatever the history. */
export function resumeContract(open: (setup: ServerSetup) => Promise<RunningServer>): void {
  const start = (setup: ServerSetup = {}): Promise<RunningServer> =>
    open({ channels: keepingRules, timings: { resumeMs: 60_000 }, ...setup })

  describe('a client that keeps track', () => {
    test('gets what it missed, then what comes, without a gap or a repeat', async () => {
      const running = await start()
      const send = sends(running, 'kept')
      const first = await follower(running.port, 'kept')
      await send(1, 2, 3)
      const stop = await position(first, 'kept', 3)
      first.webSocket.terminate()
      await send(4, 5)
      const second = await tracked(running.port)
      await second.subscribe('kept')
      await send(6)
      second.send({ event: 'router:resume', data: stop })
      const resumed = await second.event('router:resumed')
      expect(fieldsOf(resumed)).toEqual({ channel: 'kept', replayed: 3 })
      await send(7)
      expect(await position(second, 'kept', 7)).toEqual({ ...stop, serial: 7 })
      expect(got(second, 'kept')).toEqual([4, 5, 6, 7])
      expect(running.server.stats()).toMatchObject({ resumed: 1, replayed: 3, resumeFailures: {} })
    })

    test('is told one position for all that one write brings, and others are told nothing', async () => {
      const running = await start()
      const follows = await follower(running.port, 'kept')
      const plain = await connectedClient(running.port)
      await plain.subscribe('kept')
      const before = positions(follows).length
      await sends(running, 'kept')(...Array.from({ length: 20 }, (_, n) => n))
      await position(follows, 'kept', 20)
      expect(positions(follows).length - before).toBe(1)
      await plain.settled()
      expect(got(plain, 'kept')).toHaveLength(20)
      expect(plain.received.filter(({ event }) => event.startsWith('router:'))).toEqual([])
    })

    test('who has got events after its last position does not get them again, and who sent one does not get it either', async () => {
      const running = await start()
      const first = await follower(running.port, 'kept')
      const stop = await position(first, 'kept')
      const socketId = await first.socketId()
      await sends(running, 'kept')(1, 2)
      await running.server.hub.broadcast(app.id, 'kept', 'e', { n: 'mine' }, socketId)
      await sends(running, 'kept')(3, 4)
      const second = await returned(running.port, stop, { received: 3, socket_id: socketId })
      await second.event('router:resumed')
      expect(got(second, 'kept')).toEqual([4])
    })

    test('a position that has expired, or is of another epoch, is told so, and what comes goes on', async () => {
      const running = await start({ channels: { kept: { history: { ...history, size: 2 } } } })
      const send = sends(running, 'kept')
      const first = await follower(running.port, 'kept')
      const stop = await position(first, 'kept')
      await send(1, 2, 3)
      // Delivered, too: whoever subscribes from now on does not hear them.
      await position(first, 'kept', 3)
      const late = await returned(running.port, stop)
      expect(fieldsOf(await late.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'position_expired' })
      const stranger = await returned(running.port, { ...stop, epoch: 'another' })
      expect(fieldsOf(await stranger.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'epoch_changed' })
      await send(4)
      for (const client of [late, stranger]) {
        await position(client, 'kept', 4)
        expect(got(client, 'kept')).toEqual([4])
      }
      expect(running.server.stats().resumeFailures).toEqual({ position_expired: 1, epoch_changed: 1 })
    })

    test('that says nothing for a while is told that it may have missed something, and then gets what was held', async () => {
      const running = await start({ timings: { resumeMs: 40 } })
      const stop = await position(await follower(running.port, 'kept'), 'kept')
      const silent = await tracked(running.port)
      await silent.subscribe('kept')
      await sends(running, 'kept')(1, 2)
      await position(silent, 'kept', 2)
      expect(got(silent, 'kept')).toEqual([1, 2])
      expectToldFirst(silent)
      // Its answer was late: what it was told comes again, and it stands where it stood.
      silent.send({ event: 'router:resume', data: stop })
      await silent.message(({ event }) => event === 'router:resume_failed' && countOf(silent, 'router:resume_failed') === 2)
      await silent.settled()
      expect(positions(silent).at(-1)).toEqual({ ...stop, serial: 2 })
    })

    test('a replay larger than the queue of a socket comes whole', async () => {
      const running = await start({ channels: { kept: { history: { ...history, bytes: 64_000_000 } } }, limits: { queue: 100_000 } })
      const stop = await position(await follower(running.port, 'kept'), 'kept')
      const padding = 'x'.repeat(90_000)
      for (let n = 1; n <= 90; n++) await running.server.hub.broadcast(app.id, 'kept', 'e', { n, padding })
      const client = await returned(running.port, stop)
      await client.event('router:resumed')
      expect(got(client, 'kept')).toEqual(Array.from({ length: 90 }, (_, n) => n + 1))
    })

    /** A history of many large events, and a place before them. */
    const large = async (): Promise<{ running: RunningServer; stop: Stop; send: (...ns: readonly number[]) => Promise<void> }> => {
      const running = await start({
        channels: { kept: { history: { ...history, size: 1_000, bytes: 64_000_000 } } },
        limits: { queue: 300_000 },
      })
      const first = await follower(running.port, 'kept')
      const stop = await position(first, 'kept')
      first.webSocket.terminate()
      const padding = 'x'.repeat(90_000)
      const send = async (...ns: readonly number[]): Promise<void> => {
        for (const n of ns) await running.server.hub.broadcast(app.id, 'kept', 'e', { n, padding })
      }
      await send(...upTo(150))
      return { running, stop, send }
    }

    test('what comes during a replay to a slow client is not cut off: the replay is whole, and the rest comes after it', async () => {
      const { running, stop, send } = await large()
      const client = await tracked(running.port)
      await client.subscribe('kept')
      client.webSocket.pause()
      client.send({ event: 'router:resume', data: stop })
      await until(() => running.server.stats().bytesOut > 500_000)
      // More than may wait.
      await send(151, 152, 153, 154, 155, 156)
      client.webSocket.resume()
      await position(client, 'kept', 156)
      await send(157)
      await position(client, 'kept', 157)
      expect(got(client, 'kept')).toEqual(upTo(157))
      expect(countOf(client, 'router:resumed')).toBe(1)
      expect(countOf(client, 'router:resume_failed')).toBe(0)
      expect(running.server.stats()).toMatchObject({ resumed: 1, replayed: 156, resumeFailures: {} })
    })

    test('a replay that is asked for twice comes whole, and once', async () => {
      const { running, stop, send } = await large()
      const client = await returned(running.port, stop)
      client.send({ event: 'router:resume', data: stop })
      client.send({ event: 'router:resume', data: { channel: 'kept' } })
      await position(client, 'kept', 150)
      await send(151)
      await position(client, 'kept', 151)
      expect(got(client, 'kept')).toEqual(upTo(151))
      expect(running.server.stats()).toMatchObject({ resumed: 1, replayed: 150, resumeFailures: {} })
    })

    test('what a client sends to the others before it has gone on does not come back to it', async () => {
      const running = await start()
      const stop = await position(await follower(running.port, 'kept'), 'kept')
      const client = await tracked(running.port)
      await client.subscribe('kept')
      await running.server.hub.broadcast(app.id, 'kept', 'e', { n: 'mine' }, await client.socketId())
      await sends(running, 'kept')(1)
      client.send({ event: 'router:resume', data: stop })
      await client.event('router:resumed')
      expect(got(client, 'kept')).toEqual([1])
    })

    test('that was here before and was not told where is told so, before anything newer', async () => {
      const running = await start()
      const client = await tracked(running.port)
      await client.subscribe('kept')
      await sends(running, 'kept')(1)
      client.send({ event: 'router:resume', data: { channel: 'kept', returning: true } })
      expect(fieldsOf(await client.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'unavailable' })
      await position(client, 'kept', 1)
      expectToldFirst(client)
    })

    test('what is held is bounded: past it the client is told, not cut off', async () => {
      const running = await start({ limits: { queue: 50_000 } })
      const waits = await tracked(running.port)
      await waits.subscribe('kept')
      for (let n = 1; n <= 10; n++) running.server.hub.broadcast(app.id, 'kept', 'e', { n, padding: 'x'.repeat(9_000) })
      await position(waits, 'kept', 10)
      expect(got(waits, 'kept')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      expectToldFirst(waits)
    })

    test('on a channel where it stands already it goes on as it is, with a position', async () => {
      const running = await start()
      const client = await connectedClient(running.port)
      await client.subscribe('kept')
      client.send({ event: 'router:track', data: {} })
      await position(client, 'kept', 0)
      await sends(running, 'kept')(1)
      await position(client, 'kept', 1)
      expect(got(client, 'kept')).toEqual([1])
    })

    test('client events are neither kept nor counted, and wait with the others', async () => {
      const running = await start({ apps: [{ ...app, clientEvents: true }] })
      const stop = { channel: 'private-kept', ...startOf(await trackedMember(running.port)) }
      const sender = await connectedClient(running.port)
      await sender.join('private-kept')
      await sends(running, 'private-kept')(1)
      const second = await tracked(running.port)
      await second.join('private-kept')
      sender.send({ event: 'client-move', channel: 'private-kept', data: { n: 'moved' } })
      await sender.settled()
      second.send({ event: 'router:resume', data: stop })
      await second.event('router:resumed')
      expect(got(second, 'private-kept')).toEqual([1, 'moved'])
    })

    test('gets the event of a cache channel only where it does not go on from somewhere', async () => {
      const running = await start()
      await sends(running, 'cache-kept')(1)
      const first = await tracked(running.port)
      await first.subscribe('cache-kept')
      first.send({ event: 'router:resume', data: { channel: 'cache-kept' } })
      const stop = await position(first, 'cache-kept', 1)
      expect(got(first, 'cache-kept')).toEqual([1])
      await sends(running, 'cache-kept')(2)
      const second = await returned(running.port, stop)
      await second.event('router:resumed')
      expect(got(second, 'cache-kept')).toEqual([2])
      const third = await returned(running.port, { ...stop, epoch: 'another' })
      await position(third, 'cache-kept', 2)
      expect(got(third, 'cache-kept')).toEqual([2])
    })

    test('who joins a presence channel is told of its members at once, whatever is held', async () => {
      const running = await start()
      const first = await tracked(running.port)
      await first.join('presence-kept', { user_id: 'a' })
      const second = await tracked(running.port)
      await second.join('presence-kept', { user_id: 'b' })
      expect(fieldsOf(await first.event('pusher_internal:member_added', 'presence-kept'))).toMatchObject({ user_id: 'b' })
    })
  })

  describe('strangers', () => {
    test.each([
      ['a channel that is not subscribed to', { channel: 'private-kept', epoch: 'e', serial: 0 }],
      ['no channel', { epoch: 'e', serial: 0 }],
      ['a serial that is no count', { channel: 'kept', epoch: 'e', serial: -1 }],
      ['an epoch that is no text', { channel: 'kept', epoch: 7, serial: 1 }],
      ['a channel without history', { channel: 'plain', epoch: 'e', serial: 1 }],
    ])('%s is answered with an error', async (_, data) => {
      const { port } = await start()
      const client = await tracked(port)
      for (const channel of ['kept', 'plain']) await client.subscribe(channel)
      client.send({ event: 'router:resume', data })
      expect(await client.event('pusher:error')).toMatchObject({ data: { code: 4200 } })
      expect(client.received.some(({ event }) => event.startsWith('router:resume'))).toBe(false)
    })

    test('without `router:track` nothing can be asked for', async () => {
      const { port } = await start()
      const client = await connectedClient(port)
      await client.subscribe('kept')
      client.send({ event: 'router:resume', data: { channel: 'kept', epoch: 'e', serial: 1 } })
      await client.event('pusher:error')
    })

    test('who asks for replays again and again is refused', async () => {
      const running = await start({ limits: { channels: 5, clientFrames: 1_000 } })
      const stop = await position(await follower(running.port, 'kept'), 'kept')
      await sends(running, 'kept')(1)
      const greedy = await tracked(running.port)
      for (let round = 0; round < 20; round++) {
        greedy.send({ event: 'pusher:subscribe', data: { channel: 'kept' } })
        greedy.send({ event: 'router:resume', data: stop })
        greedy.send({ event: 'pusher:unsubscribe', data: { channel: 'kept' } })
      }
      await greedy.settled()
      const { resumed, resumeFailures } = running.server.stats()
      // Those that are gone before the answer comes are not answered.
      expect(resumed + (resumeFailures.unavailable ?? 0)).toBeLessThanOrEqual(20)
      expect(resumeFailures.unavailable).toBeGreaterThan(5)
    })
  })

  describe('conflation', () => {
    const conflate = { intervalMs: 60_000, by: ['symbol'] }

    test('a position never passes an event that waits, and a replay has the latest of each key', async () => {
      const running = await start({ channels: { kept: { history, conflate } } })
      const price = (symbol: string, n: number) => running.server.hub.broadcast(app.id, 'kept', 'e', { symbol, n })
      const first = await follower(running.port, 'kept')
      await price('A', 1)
      await price('A', 2)
      await price('B', 3)
      await price('A', 4)
      await price('C', 5)
      await first.message(message => message.event === 'e' && fieldsOf(message)['n'] === 5)
      await first.settled()
      expect(got(first, 'kept')).toEqual([1, 3, 5])
      const stop = positions(first).at(-1)
      expect(stop).toMatchObject({ serial: 3 })
      if (stop === undefined) throw new Error('no position')
      const second = await returned(running.port, stop)
      await second.event('router:resumed')
      expect(got(second, 'kept')).toEqual([4, 5])
      await position(second, 'kept', 5)
    })

    test('what a replay has brought does not come again at the end of the interval', async () => {
      const running = await start({ channels: { kept: { history, conflate: { intervalMs: 60_000, by: undefined } } } })
      const first = await follower(running.port, 'kept')
      const send = sends(running, 'kept')
      await send(1, 2, 3)
      const stop = await position(first, 'kept', 2)
      const second = await returned(running.port, stop)
      await second.event('router:resumed')
      running.server.updateConfig(hotConfig({ channels: { kept: { history } } }))
      await send(4)
      for (const client of [first, second]) await position(client, 'kept', 4)
      expect(got(first, 'kept')).toEqual([1, 3, 4])
      expect(got(second, 'kept')).toEqual([3, 4])
    })
  })

  describe('a change of the rules', () => {
    test('a history that was off for a while does not pass for a whole one', async () => {
      const running = await start()
      const send = sends(running, 'kept')
      const first = await follower(running.port, 'kept')
      await send(1)
      const stop = await position(first, 'kept', 1)
      running.server.updateConfig(hotConfig())
      await send(2)
      running.server.updateConfig(hotConfig({ channels: keepingRules }))
      const second = await returned(running.port, stop)
      expect(fieldsOf(await second.event('router:resume_failed'))['reason']).toMatch(/^(position_expired|epoch_changed)$/)
    })

    test('a channel that gets a history has one for those who are there', async () => {
      const running = await start({ channels: {} })
      const client = await tracked(running.port)
      await client.subscribe('kept')
      running.server.updateConfig(hotConfig({ channels: keepingRules }))
      await sends(running, 'kept')(1)
      await position(client, 'kept')
      const stop = await returned(running.port, await position(client, 'kept'))
      await stop.event('router:resumed')
    })
  })

  test('what is sent while nobody is subscribed is kept, and one origin sends once', async () => {
    const running = await start()
    const stop = await position(await follower(running.port, 'kept'), 'kept')
    expect(running.server.hub.hasSubscribers(app.id, 'kept.empty')).toBe(true)
    const { hub } = running.server
    for (let times = 0; times < 3; times++) await hub.broadcast(app.id, 'kept', 'e', { n: 1 }, undefined, { origin: 'kafka:t:0:1:r:0' })
    await hub.broadcast(app.id, 'kept', 'e', { n: 2 }, undefined, { origin: 'kafka:t:0:2:r:0' })
    const client = await returned(running.port, stop)
    await client.event('router:resumed')
    expect(got(client, 'kept')).toEqual([1, 2])
  })
}
