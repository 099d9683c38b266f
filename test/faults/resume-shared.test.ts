import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { app, startServer } from '../realtime/harness.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Pages } from './pages.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'

describeWithRedis('two instances with a history in Redis', () => {
  test('connections to Redis break, and Redis itself, on channels that pages have just come to: they have every event once and in order, or were told', {
    timeout: testLimitMs,
  }, async () => {
    const { rounds, count } = scaled({ rounds: 8, count: 8 }, { rounds: 60, count: 30 })
    const redis = await RedisServer.start()
    onTestFinished(() => redis.stop())
    const prefix = `test-${randomUUID()}`
    const history = { size: 1_000, ttlMs: 60_000, bytes: 4_000_000 }
    const start = async () => {
      const toRedis = await TcpProxy.to(redis.port)
      onTestFinished(() => toRedis.close())
      const url = `redis://127.0.0.1:${toRedis.port}`
      return { toRedis, ...(await startServer({ channels: { 'kept.*': { history } }, backplane: { type: 'redis', url, prefix } })) }
    }
    const instances = [await start(), await start()] as const
    const proxy = await TcpProxy.to(...instances.map(({ port }) => port))
    onTestFinished(() => proxy.close())

    const sent = new Map<string, number>()
    let isLoaded = true
    const pages = new Pages({
      sent: channel => sent.get(channel) ?? 0,
      began: () => {
        if (isLoaded && Math.random() < 0.05) proxy.cut(() => Math.random() < 0.3)
      },
    })
    for (let index = 0; index < count; index++) pages.open(proxy.port, [])

    /** By whichever instance reaches Redis; one that was kept though nobody heard so is not kept twice. */
    const send = async (channel: string): Promise<void> => {
      const n = (sent.get(channel) ?? 0) + 1
      sent.set(channel, n)
      for (;;) {
        const { server } = instances[Math.random() < 0.5 ? 0 : 1]
        try {
          await server.hub.broadcast(app.id, channel, 'tick', { n }, undefined, { origin: `${channel} ${n}` })
          return
        } catch {
          await delay(2)
        }
      }
    }
    let broken = 0
    let restarts = 0
    /** Each instance has two connections to Redis: broken at different times, they come back at different times. */
    const breakSomething = async (): Promise<void> => {
      broken += 1
      for (const { toRedis } of instances) toRedis.cut(() => Math.random() < 0.6)
      if (Math.random() < 0.5) return
      restarts += 1
      await delay(Math.random() * 100)
      await redis.kill()
      await delay(Math.random() * 200)
      await redis.restart()
    }

    for (let round = 0; round < rounds; round++) {
      const channel = `kept.${round}`
      isLoaded = true
      pages.follow(channel, () => Math.random() < 0.5)
      await delay(100)
      const broke = breakSomething()
      pages.follow(channel)
      for (let n = 0; n < 30; n++) {
        await send(channel)
        await delay(Math.random() * 20)
        if (Math.random() < 0.1) await breakSomething()
      }
      await broke
      isLoaded = false
      const hasReached = async (): Promise<boolean> => {
        await send(channel)
        await delay(200)
        return pages.haveAll(channel, sent.get(channel) ?? 0)
      }
      await expect.poll(hasReached, { timeout: patienceMs, interval: 10 }).toBe(true)
    }

    const { faults, told, replayed, repeated, events } = pages
    console.log(
      `${count} pages, ${rounds} channels, ${proxy.cuts} cuts, connections to Redis broken ${broken} times, ${restarts} restarts of Redis: ` +
        `${events} got, ${replayed} of them by replays, ${told} gaps told, ${repeated} repeated after a gap, ${faults.length} wrong` +
        `${faults.length === 0 ? '' : `: ${faults.slice(0, 20).join(', ')}`}`,
    )
    expect(faults).toEqual([])
    expect(events).toBeGreaterThan(0)
  })
})
