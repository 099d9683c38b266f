import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { KafkaBroker } from '../../src/brokers/kafka/kafka-broker.ts'
import { describeWithKafka, kafkaBrokers, uniqueName } from '../kafka/kafka-address.ts'
import { makeProject } from '../support/project.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { freePort, RouterProcess, whenReady } from '../support/router-process.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { Pages } from './pages.ts'
import { patienceMs, scaled, testLimitMs } from './scale.ts'

const channels = ['kept.a', 'kept.b', 'private-kept.c', 'kept.d']
/** Pages come to it while events are sent and something is broken. */
const later = 'kept.later'
const all = [...channels, later]

describeWithKafka('two instances behind one group', () => {
  describeWithRedis('and a history in Redis', () => {
    test('pages that are cut off, and come back to whichever instance is alive, have every event once and in order, or were told', {
      timeout: testLimitMs,
    }, async () => {
      const { rounds, count, seconds } = scaled({ rounds: 1, count: 12, seconds: 2 }, { rounds: 3, count: 60, seconds: 10 })
      const redis = await RedisServer.start()
      onTestFinished(() => redis.stop())
      const topic = uniqueName('resume')
      const kafka = new KafkaBroker('kafka', { type: 'kafka', brokers: kafkaBrokers, consumer: {} }, { clientId: 'test' })
      onTestFinished(() => kafka.close())
      await kafka.createTopics([{ topic, partitions: 4 }])
      const ports = [await freePort(), await freePort()] as const
      const { root: cwd } = await makeProject(projectOn(topic, redis.url))
      const start = (port: number): RouterProcess => new RouterProcess(['run'], { cwd, env: { PORT: String(port) } })
      const routers = ports.map(start)
      for (const port of ports) await whenReady(port)
      const proxy = await TcpProxy.to(...ports)
      onTestFinished(() => proxy.close())
      let sent = 0
      const pages = new Pages({ sent: () => sent })
      for (let index = 0; index < count; index++) pages.open(proxy.port, channels)

      const send = async (): Promise<void> => {
        sent += 1
        const n = sent
        const value = Buffer.from(JSON.stringify({ event: 'tick', data: { n } }))
        await Promise.all(all.map(channel => kafka.produce({ topic, key: Buffer.from(channel), value, headers: {} })))
      }
      /** Sends for a while, and cuts connections at random. */
      const load = async (): Promise<void> => {
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          await send()
          if (Math.random() < 0.05) proxy.cut(() => Math.random() < 0.3)
          await delay(5)
        }
      }
      const settled = async (): Promise<void> => {
        // Again and again: whoever was away, and told of a gap when it came back, gets none of those before.
        const hasReached = async (): Promise<boolean> => {
          await send()
          await delay(500)
          return all.every(channel => pages.haveAll(channel, sent))
        }
        await expect.poll(hasReached, { timeout: patienceMs, interval: 10 }).toBe(true)
      }

      await load()
      await settled()
      const untilKills = pages.told
      for (let round = 0; round < rounds; round++) {
        const index = round % ports.length
        await routers[index]?.kill()
        await load()
        const port = ports[index] ?? 0
        routers[index] = start(port)
        await whenReady(port)
        await load()
        await settled()
      }
      const untilRedis = pages.told
      // What Redis has lost nobody can bring, and everything else can be.
      expect(pages.toldInBetween).toBe(0)
      for (let round = 0; round < rounds; round++) {
        await redis.kill()
        const isLast = round === rounds - 1
        pages.follow(later, () => isLast || Math.random() < 0.5)
        await load()
        await redis.restart()
        await load()
        await settled()
      }

      const { faults, told, replayed, repeated, events } = pages
      console.log(
        `${count} pages, ${sent} events each of ${all.length} channels, ${proxy.cuts} cuts, ${rounds} instances killed, ${rounds} restarts of Redis: ` +
          `${events} got, ${replayed} of them by replays, gaps told ${untilKills} + ${untilRedis - untilKills} + ${told - untilRedis}, ` +
          `${repeated} repeated after a gap, ${faults.length} wrong${faults.length === 0 ? '' : `: ${faults.slice(0, 20).join(', ')}`}`,
      )
      expect(faults).toEqual([])
      expect(replayed).toBeGreaterThan(0)
      expect(told).toBeGreaterThan(untilRedis)
    })
  })
})

function projectOn(topic: string, redisUrl: string): Readonly<Record<string, string>> {
  return {
    'router.yaml': `name: ${topic}
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "${kafkaBrokers.join(',')}", consumer: { session.timeout.ms: 6000, heartbeat.interval.ms: 1000 } }
backplane: { type: redis, url: "${redisUrl}" }
server: { port: "\${PORT}", apps: [{ id: shop, key: shop-key, secret: shop-secret }] }
channels:
  "kept.*": { history: { size: 10000, ttl: 10m, bytes: 8mb } }
  "private-kept.*": { history: { size: 10000, ttl: 10m, bytes: 8mb } }
`,
    'routes/ticks.yaml': `topics: ${topic}\nenvelope: event\nroutes:\n  all: { actions: [{ broadcast: "{{key}}" }] }\n`,
  }
}
