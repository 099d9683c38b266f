import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { eventually, pusher } from './fleet.ts'
import { app, connectedClient, fieldsOf, type RunningServer, type ServerSetup, startServer } from './harness.ts'
import { follower, got, keepingRules, position, returned, sends } from './resume-contract.ts'

describeWithRedis('a history that instances share', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  const startFleet = async (urls: readonly [string, string], setup: ServerSetup = {}): Promise<[RunningServer, RunningServer]> => {
    const prefix = `test-${randomUUID()}`
    const start = (url: string): Promise<RunningServer> =>
      startServer({ channels: keepingRules, timings: { resumeMs: 60_000 }, ...setup, backplane: { type: 'redis', url, prefix } })
    return [await start(urls[0]), await start(urls[1])]
  }
  const fleet = (setup?: ServerSetup): Promise<[RunningServer, RunningServer]> => startFleet([redis.url, redis.url], setup)

  test('a client that comes back to another instance gets what it missed, whoever sent it, and goes on there', async () => {
    const [one, other] = await fleet()
    const first = await follower(one.port, 'kept')
    await sends(one, 'kept')(1)
    await sends(other, 'kept')(2)
    const stop = await position(first, 'kept', 2)
    first.webSocket.terminate()
    await sends(one, 'kept')(3)
    await sends(other, 'kept')(4)
    const second = await returned(other.port, stop)
    await second.event('router:resumed')
    await sends(one, 'kept')(5)
    await position(second, 'kept', 5)
    expect(got(first, 'kept')).toEqual([1, 2])
    expect(got(second, 'kept')).toEqual([3, 4, 5])
  })

  test('all instances deliver in one order, whoever sends', async () => {
    const [one, other] = await fleet()
    const clients = [await follower(one.port, 'kept'), await follower(other.port, 'kept')] as const
    await Promise.all(Array.from({ length: 60 }, (_, n) => sends(n % 2 === 0 ? one : other, 'kept')(n)))
    for (const client of clients) await position(client, 'kept', 60)
    expect(got(clients[0], 'kept')).toHaveLength(60)
    expect(got(clients[1], 'kept')).toEqual(got(clients[0], 'kept'))
  })

  test('a message that two instances handle reaches every socket once', async () => {
    const [one, other] = await fleet()
    const clients = [await follower(one.port, 'kept'), await follower(other.port, 'kept')]
    const origin = 'kafka:orders:0:7:1:orders/created:0'
    for (const { server } of [one, other, one]) await server.hub.broadcast(app.id, 'kept', 'e', { n: 1 }, undefined, { origin })
    await sends(other, 'kept')(2)
    for (const client of clients) {
      await position(client, 'kept', 2)
      expect(got(client, 'kept')).toEqual([1, 2])
    }
  })

  test('events of the HTTP API are kept, wherever they come in, and leave out the socket they name', async () => {
    const [one, other] = await fleet()
    const first = await follower(one.port, 'kept')
    const stop = await position(first, 'kept')
    await pusher(other).trigger('kept', 'e', { n: 1 }, { socket_id: await first.socketId() })
    await pusher(other).trigger('kept', 'e', { n: 2 })
    await position(first, 'kept', 2)
    expect(got(first, 'kept')).toEqual([2])
    const second = await returned(other.port, stop)
    await second.event('router:resumed')
    expect(got(second, 'kept')).toEqual([1, 2])
  })

  test('the last event of a cache channel with history is there for whoever comes, also on an instance that has not heard it', async () => {
    const prefix = `test-${randomUUID()}`
    const backplane = { type: 'redis', url: redis.url, prefix } as const
    const one = await startServer({ channels: keepingRules, backplane })
    await sends(one, 'cache-kept')(1, 2)
    const late = await startServer({ channels: keepingRules, backplane })
    const client = await connectedClient(late.port)
    await client.subscribe('cache-kept')
    await client.event('e', 'cache-kept')
    expect(got(client, 'cache-kept')).toEqual([2])
  })

  test('what every instance sends to its own sockets is in no history, and does not disturb whoever keeps count', async () => {
    const [one, other] = await fleet()
    const [here, there] = [await follower(one.port, 'kept'), await follower(other.port, 'kept')]
    const stop = await position(here, 'kept', 0)
    one.server.hub.broadcast(app.id, 'kept', 'e', { n: 'here' }, undefined, { origin: 'a' }, 'here')
    await here.event('e')
    await sends(one, 'kept')(1)
    for (const client of [here, there]) await position(client, 'kept', 1)
    expect(got(here, 'kept')).toEqual(['here', 1])
    expect(got(there, 'kept')).toEqual([1])
    const second = await returned(other.port, stop)
    await second.event('router:resumed')
    expect(got(second, 'kept')).toEqual([1])
    // Its place is told again with the event, so that a client does not count it.
    const told = here.received.findIndex(({ event }) => event === 'e')
    expect(here.received.slice(told).find(({ event }) => event === 'router:position')).toMatchObject({
      data: JSON.stringify({ channel: 'kept', epoch: stop.epoch, serial: 0 }),
    })
  })

  test('a redis that is full takes nothing more, and clients get what they missed all the same', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const [one, other] = await startFleet([own.url, own.url])
    const first = await follower(one.port, 'kept')
    await sends(one, 'kept')(1, 2)
    const stop = await position(first, 'kept', 2)
    first.webSocket.terminate()
    await sends(one, 'kept')(3, 4)
    const admin = new Redis(own.url)
    onTestFinished(() => admin.disconnect())
    await admin.config('SET', 'maxmemory', '1')
    await expect(sends(one, 'kept')(5)).rejects.toThrow('OOM')
    // Nor does it remember how it was asked before.
    await admin.script('FLUSH')
    const second = await returned(other.port, stop)
    await second.event('router:resumed')
    expect(got(second, 'kept')).toEqual([3, 4])
    const quiet = await follower(other.port, 'kept.quiet')
    expect(await position(quiet, 'kept.quiet')).toMatchObject({ serial: 0 })
    await admin.config('SET', 'maxmemory', '0')
    await sends(one, 'kept')(5)
    await sends(one, 'kept.quiet')(1)
    await position(second, 'kept', 5)
    await position(quiet, 'kept.quiet', 1)
    expect(got(second, 'kept')).toEqual([3, 4, 5])
    for (const client of [second, quiet]) expect(client.received.some(({ event }) => event === 'router:resume_failed')).toBe(false)
  })

  describe('while the connection to redis is broken', () => {
    test('nothing is missed: what the others sent comes when it is back, in order', async () => {
      const proxy = await TcpProxy.to(redis.port)
      onTestFinished(() => proxy.close())
      const [cut, other] = await startFleet([`redis://127.0.0.1:${proxy.port}`, redis.url])
      const client = await follower(cut.port, 'kept')
      const plain = await connectedClient(cut.port)
      await plain.subscribe('kept')
      for (let round = 0; round < 5; round++) {
        await sends(other, 'kept')(3 * round)
        proxy.cutAll()
        await sends(other, 'kept')(3 * round + 1, 3 * round + 2)
        await position(client, 'kept', 3 * round + 3)
        await eventually(async () => cut.server.stats().backplane.connected)
      }
      for (const each of [client, plain]) expect(got(each, 'kept')).toEqual(Array.from({ length: 15 }, (_, n) => n))
      expect(client.received.filter(({ event }) => event === 'router:resume_failed')).toEqual([])
    })

    test('whoever subscribes meanwhile is told that something may be missing', async () => {
      const proxy = await TcpProxy.to(redis.port)
      const [cut, other] = await startFleet([`redis://127.0.0.1:${proxy.port}`, redis.url])
      await proxy.close()
      await eventually(async () => !cut.server.stats().backplane.connected)
      const client = await connectedClient(cut.port)
      client.send({ event: 'router:track', data: {} })
      await client.subscribe('kept')
      client.send({ event: 'router:resume', data: { channel: 'kept' } })
      await sends(other, 'kept')(1)
      await proxy.open()
      onTestFinished(() => proxy.close())
      expect(fieldsOf(await client.event('router:resume_failed'))).toEqual({ channel: 'kept', reason: 'position_expired' })
      await sends(other, 'kept')(2)
      await position(client, 'kept', 2)
      expect(got(client, 'kept')).toEqual([2])
    })
  })
})
