import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { backplaneContract } from './backplane-contract.ts'
import { eventually, names, watched } from './fleet.ts'
import { app, asks, connectedClient, fieldsOf, nextOf, pusherClient, type RunningServer, type ServerSetup, startServer } from './harness.ts'
import { webhookReceiver } from './webhook-receiver.ts'

describeWithRedis('the redis backplane', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  const startFleet = async (
    setup: ServerSetup = {},
    url = redis.url,
    prefix = `test-${randomUUID()}`,
  ): Promise<[RunningServer, RunningServer, RunningServer]> => {
    const backplane = { type: 'redis', url, prefix } as const
    const timings = { webhookBatchMs: 5, webhookDebounceMs: 300, backplaneHeartbeatMs: 100, backplaneLeaseMs: 600, ...setup.timings }
    const start = (): Promise<RunningServer> => startServer({ ...setup, backplane, timings })
    return [await start(), await start(), await start()]
  }

  backplaneContract(startFleet)

  test('while redis is away events reach the sockets that are here, and are counted; afterwards all is as before', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const [one, other] = await startFleet({ limits: {} }, own.url)
    const [ada, ben] = [await connectedClient(one.port), await connectedClient(other.port)]
    await ada.join('presence-room', { user_id: 'ada' })
    await ben.join('presence-room', { user_id: 'ben' })
    await ada.event('pusher_internal:member_added')
    await own.kill()
    await eventually(async () => !one.server.stats().backplane.connected && !other.server.stats().backplane.connected)
    one.server.hub.broadcast(app.id, 'presence-room', 'alone', 1)
    await ada.event('alone')
    expect(one.server.stats().backplane.missed).toBe(1)
    const cleo = await connectedClient(other.port)
    await cleo.join('presence-room', { user_id: 'cleo' })
    await own.restart()
    await eventually(async () => one.server.stats().backplane.connected && other.server.stats().backplane.connected)
    await watched(one, 'presence-room', 3)
    await watched(other, 'presence-room', 3)
    expect(
      fieldsOf(await ada.message(({ event, data }) => event === 'pusher_internal:member_added' && String(data).includes('cleo'))),
    ).toEqual({
      user_id: 'cleo',
    })
    one.server.hub.broadcast(app.id, 'presence-room', 'together', 1)
    await Promise.all([ada, ben, cleo].map(client => client.event('together')))
    expect(names(ben)).not.toContain('alone')
    for (const client of [ada, ben, cleo]) expect(names(client)).not.toContain('pusher_internal:member_removed')
  })

  test('members of an instance that falls silent go, told by one of the others', async () => {
    const prefix = `test-${randomUUID()}`
    const endpoint = await webhookReceiver()
    const apps = [{ ...app, webhooks: [{ url: endpoint.url, events: ['member_removed', 'channel_vacated'] as const }] }]
    const [one, other] = await startFleet({ apps }, redis.url, prefix)
    // An instance that says it lives once, and no more: it starts far too late to say it again.
    const silent = await startServer({
      apps,
      backplane: { type: 'redis', url: redis.url, prefix },
      timings: { backplaneHeartbeatMs: 600_000, backplaneLeaseMs: 600_000 },
    })
    const watcher = await connectedClient(one.port)
    await watcher.join('presence-room', { user_id: 'ada' })
    const lost = await connectedClient(silent.port)
    await lost.join('presence-room', { user_id: 'ben' })
    await lost.subscribe('news')
    await watcher.event('pusher_internal:member_added')
    expect(fieldsOf(await watcher.event('pusher_internal:member_removed'))).toEqual({ user_id: 'ben' })
    await watched(other, 'presence-room', 1)
    await watched(other, 'news', 0)
    await eventually(async () => endpoint.names().length >= 2)
    expect(endpoint.names().toSorted()).toEqual(['channel_vacated', 'member_removed'])
  })

  test('an endpoint signs for the sockets of other instances: with several apps its address, or its parameters, say for which', async () => {
    const blog = { id: 'blog', key: 'blog-key', secret: 'blog-secret' }
    const [one, other] = await startFleet({
      apps: [app, blog],
      channels: { 'private-*': asks('join.ts'), 'presence-*': asks('join.ts') },
      findModule:
        () =>
        ({ app, channel }) =>
          channel === 'private-plain' || { user_id: `somebody of ${app}` },
    })
    const clientWith = (path: string, params: Record<string, string>) =>
      pusherClient(one.port, { channelAuthorization: { endpoint: `${other.http}/pusher/auth${path}`, transport: 'ajax', params } })
    for (const client of [clientWith('', { key: app.key }), clientWith(`?key=${app.key}`, {})]) {
      await nextOf(client.subscribe('private-plain'), 'pusher:subscription_succeeded')
      expect(await nextOf(client.subscribe('presence-room'), 'pusher:subscription_succeeded')).toMatchObject({ myID: 'somebody of shop' })
    }
    const unsaid = clientWith('', {})
    expect(await nextOf(unsaid.subscribe('private-plain'), 'pusher:subscription_error')).toMatchObject({ status: 400 })
    // What is signed for the other app is worth nothing here.
    const mistaken = clientWith('', { key: blog.key })
    expect(await nextOf(mistaken.subscribe('private-plain'), 'pusher:subscription_error')).toMatchObject({ status: 401 })
  })

  test.each([
    ['no message at all', 'hello'],
    ['another version', '2 x\ne\t"news"\t\t\t"forged"\t"1"\n'],
    ['data that is no JSON string', '1 x\ne\t"news"\t\t\t"forged"\t{"a":1}\n'],
    ['data that ends its string', '1 x\ne\t"news"\t\t\t"forged"\t"1","more":"2"\n'],
    ['an event of the protocol', '1 x\ne\t"news"\t\t\t"pusher:forged"\t"1"\n'],
    ['bytes that are no UTF-8', Buffer.from([...Buffer.from('1 x\ne\t"news"\t\t\t"forged"\t"'), 0xff, 0x22, 0x0a])],
  ])('what is written to redis by others is left out and counted: %s', async (_, message) => {
    const prefix = `test-${randomUUID()}`
    const [one] = await startFleet({}, redis.url, prefix)
    const client = await connectedClient(one.port)
    await client.subscribe('news')
    const forger = new Redis(redis.url)
    onTestFinished(() => forger.disconnect())
    await forger.publish(`${prefix}:{shop}:messages`, message)
    await eventually(async () => one.server.stats().backplane.invalid === 1)
    one.server.hub.broadcast(app.id, 'news', 'true', 1)
    await client.event('true')
    expect(names(client).filter(name => name.includes('forged'))).toEqual([])
  })

  test('neither a client that does not say goodbye nor a redis that hangs holds up the end, nor both', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const backplane = { type: 'redis', url: own.url, prefix: 'test' } as const
    const { server, port } = await startServer({ backplane, timings: { closeTimeoutMs: 60_000 } })
    const client = await connectedClient(port)
    await client.subscribe('news')
    client.webSocket.pause()
    own.pause()
    const graceMs = 2_000
    // Both wait in one event loop: what holds up one of them holds up the other.
    const first = await Promise.race([server.close({ graceMs }).then(() => 'closed'), delay(graceMs * 1.1).then(() => 'late')])
    own.resume()
    expect(first).toBe('closed')
  })

  test('a client that keeps track is told when redis has lost what it held', async () => {
    const own = await RedisServer.start()
    onTestFinished(() => own.stop())
    const channels = { 'private-orders': { history: { size: 10, ttlMs: 60_000, bytes: 100_000 } } }
    const [one, other] = await startFleet({ channels }, own.url)
    const client = await connectedClient(one.port)
    client.send({ event: 'router:track', data: {} })
    await client.join('private-orders')
    client.send({ event: 'router:resume', data: { channel: 'private-orders' } })
    other.server.hub.broadcast(app.id, 'private-orders', 'first', 1)
    await client.event('first')
    await client.event('router:position')
    await own.kill()
    await eventually(async () => !one.server.stats().backplane.connected)
    await own.restart()
    expect(fieldsOf(await client.event('router:resume_failed'))).toEqual({ channel: 'private-orders', reason: 'epoch_changed' })
  })
})
