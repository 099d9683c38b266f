import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { GroupedStore } from '../../src/stores/grouped-store.ts'
import { RedisStore } from '../../src/stores/redis-store.ts'
import { describeWithRedis, RedisServer } from '../support/redis-server.ts'
import { type AskedStore, asked } from './asked.ts'
import { recordingLog } from './recording-log.ts'
import { storeContract } from './store-contract.ts'

const claim = (owner: string, key = 'k') => ({ key, owner, leaseMs: 60_000 })

describeWithRedis('the redis store', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await RedisServer.start()
  })

  afterAll(() => server.stop())

  const open = async (timeoutMs?: number) =>
    new GroupedStore(await RedisStore.open({ url: server.url, log: recordingLog().log, ...(timeoutMs === undefined ? {} : { timeoutMs }) }))

  storeContract(() => open())

  test('instances share what is in progress and what is completed', async () => {
    const [one, other] = [asked(await open()), asked(await open())]
    onTestFinished(async () => void (await Promise.all([one.close(), other.close()])))
    await one.claim(claim('one', 'shared'))
    expect(await other.claim(claim('other', 'shared'))).toBe('busy')
    await one.complete({ key: 'shared', owner: 'one', ttlMs: 60_000, check: '' })
    expect(await other.claim(claim('other', 'shared'))).toEqual({ check: '' })
  })
})

describeWithRedis('the redis store, while Redis', () => {
  async function pair(timeoutMs = 300): Promise<{ readonly server: RedisServer; readonly store: AskedStore }> {
    const server = await RedisServer.start()
    onTestFinished(() => server.stop())
    const store = asked(new GroupedStore(await RedisStore.open({ url: server.url, log: recordingLog().log, timeoutMs })))
    onTestFinished(() => store.close())
    return { server, store }
  }

  test('is away says so at once, and works again when Redis is back', async () => {
    const { server, store } = await pair()
    expect(await store.claim(claim('a'))).toBe('claimed')
    await server.kill()
    await expect(store.claim(claim('a', 'other'))).rejects.toMatchObject({ code: 'unavailable' })
    await server.restart()
    await expect.poll(() => store.claim(claim('a', 'other')).catch(() => 'away')).toBe('claimed')
  })

  test('is half-open ends every question by its time-out, and works again when Redis is back', async () => {
    const { server, store } = await pair()
    expect(await store.claim(claim('a'))).toBe('claimed')
    server.pause()
    onTestFinished(() => server.resume())
    for (let question = 0; question < 3; question++)
      await expect(store.claim(claim('b', 'other'))).rejects.toMatchObject({ code: 'unavailable' })
    server.resume()
    await expect.poll(() => store.claim(claim('b', 'other')).catch(() => 'away')).toBe('claimed')
    expect(await store.claim(claim('b'))).toBe('busy')
  })

  test('is not there yet is waited for, and its password is not told', async () => {
    const server = await RedisServer.start()
    onTestFinished(() => server.stop())
    await server.kill()
    const { log, lines } = recordingLog()
    const url = `redis://user:not-to-be-seen@127.0.0.1:${server.port}`
    const store = asked(new GroupedStore(await RedisStore.open({ url, log, timeoutMs: 300 })))
    onTestFinished(() => store.close())
    expect(lines).toEqual(['the idempotency store is not reachable yet'])
    await expect(store.claim(claim('a'))).rejects.toSatisfy(
      error => error instanceof Error && error.message.includes(`127.0.0.1:${server.port}`) && !error.message.includes('not-to-be-seen'),
    )
  })

  test('has forgotten everything, a renewal takes the key again', async () => {
    const { server, store } = await pair()
    await store.claim(claim('a'))
    await server.kill()
    await server.restart()
    await expect.poll(() => store.renew(claim('a')).catch(() => false)).toBe(true)
    expect(await store.claim(claim('b'))).toBe('busy')
  })
})
