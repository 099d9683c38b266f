import { describe, expect, test } from 'vitest'
import { consumerSettings } from '../../src/brokers/kafka/kafka-settings.ts'
import { createBroker } from '../../src/brokers/registry.ts'

describe('a broker of router.yaml', () => {
  test('is made by its type, and keeps its name', async () => {
    const options = { clientId: 'shop' }
    const memory = createBroker('local', { type: 'memory', partitions: 4 }, options)
    const kafka = createBroker('main', { type: 'kafka', brokers: ['localhost:1'], consumer: {} }, options)
    expect([memory.name, kafka.name]).toEqual(['local', 'main'])
    await Promise.all([memory.close(), kafka.close()])
  })
})

describe('consumer properties', () => {
  test('have the defaults that were measured', () => {
    expect(consumerSettings({}, undefined)).toMatchObject({
      minBytes: 1,
      maxWaitMs: 500,
      heartbeatIntervalMs: 3_000,
      sessionTimeoutMs: 30_000,
    })
  })

  test("a subscription's wait wins over the broker's", () => {
    expect(consumerSettings({ 'fetch.max.wait.ms': 200 }, undefined).maxWaitMs).toBe(200)
    expect(consumerSettings({ 'fetch.max.wait.ms': 200 }, 1_000).maxWaitMs).toBe(1_000)
  })

  test('a short session gets heartbeats that fit into it', () => {
    expect(consumerSettings({ 'session.timeout.ms': 3_000 }, undefined).heartbeatIntervalMs).toBe(1_000)
  })

  test('heartbeats slower than the session are refused', () => {
    expect(() => consumerSettings({ 'session.timeout.ms': 6_000, 'heartbeat.interval.ms': 6_000 }, undefined)).toThrow(
      'heartbeat.interval.ms (6000) must be lower than session.timeout.ms (6000)',
    )
  })
})
