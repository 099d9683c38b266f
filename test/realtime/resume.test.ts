import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe } from 'vitest'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { startServer } from './harness.ts'
import { resumeContract } from './resume-contract.ts'

describe('with a history in memory', () => {
  resumeContract(startServer)
})

describeWithRedis('with a history in redis', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await RedisServer.start()
  })

  afterAll(() => redis.stop())

  resumeContract(setup => startServer({ ...setup, backplane: { type: 'redis', url: redis.url, prefix: `test-${randomUUID()}` } }))
})
