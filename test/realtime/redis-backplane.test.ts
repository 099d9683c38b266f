import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll } from 'vitest'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { backplaneContract } from './backplane-contract.ts'
import { type RunningServer, type ServerSetup, startServer } from './harness.ts'

describeWithRedis('the redis backplane', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  const startFleet = async (setup: ServerSetup = {}): Promise<[RunningServer, RunningServer, RunningServer]> => {
    const backplane = { type: 'redis', url: redis.url, prefix: `test-${randomUUID()}` } as const
    const timings = { webhookBatchMs: 5, webhookDebounceMs: 300, backplaneHeartbeatMs: 100, backplaneLeaseMs: 600, ...setup.timings }
    const start = (): Promise<RunningServer> => startServer({ ...setup, backplane, timings })
    return [await start(), await start(), await start()]
  }

  backplaneContract(startFleet)
})
