import { fork } from 'node:child_process'
import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { asked, eventually, watched } from './fleet.ts'
import { app, connectedClient, fieldsOf, startServer } from './harness.ts'
import { webhookReceiver } from './webhook-receiver.ts'

const channels = 20_000
/** As many as a socket may have. */
const ofOneSocket = 1_000

/** So many sockets that all channels are occupied. */
async function occupy(port: number, name: string): Promise<void> {
  for (let first = 0; first < channels; first += ofOneSocket) {
    const client = await connectedClient(port)
    for (let index = first; index < first + ofOneSocket; index += 1) {
      client.send({ event: 'pusher:subscribe', data: { channel: `${name}.${index}` } })
    }
    await client.settled()
  }
}

describeWithRedis(
  'an instance with many channels',
  () => {
    let redis: RedisServer

    beforeAll(async () => {
      redis = await RedisServer.start()
    })

    afterAll(() => redis.stop())

    test.each(['is killed', 'is stopped'])('leaves none behind when it %s, and webhooks are told of each once', async how => {
      const endpoint = await webhookReceiver()
      const apps = [{ ...app, webhooks: [{ url: endpoint.url, events: ['channel_vacated' as const] }] }]
      const backplane = { type: 'redis', url: redis.url, prefix: how } as const
      const stays = await startServer({ apps, backplane })
      const child = fork(new URL('./lone-server.mjs', import.meta.url), [JSON.stringify({ apps, backplane })])
      onTestFinished(() => void child.kill('SIGKILL'))
      const [{ port }] = await once(child, 'message')
      await occupy(port, 'news')
      await watched(stays, `news.${channels - 1}`, 1)
      expect(Object.keys(fieldsOf({ event: '', data: (await asked(stays, '/channels'))['channels'] }))).toHaveLength(channels)
      const endedAt = performance.now()
      child.kill(how === 'is killed' ? 'SIGKILL' : 'SIGTERM')
      await eventually(async () => endpoint.names().length >= channels)
      // 30 s are promised; a machine that is busy with other tests gets half as long again.
      expect(performance.now() - endedAt).toBeLessThan(45_000)
      expect(await asked(stays, '/channels')).toEqual({ channels: {} })
      expect(new Set(endpoint.events().map(({ channel }) => channel)).size).toBe(channels)
      expect(endpoint.names()).toHaveLength(channels)
    })
  },
  90_000,
)
