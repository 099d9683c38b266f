import { describe, expect, test } from 'vitest'
import { MemoryStore } from '../../src/stores/memory-store.ts'
import { recordingLog } from './recording-log.ts'
import { storeContract } from './store-contract.ts'

const told = { scope: 'group/route/=', answered: () => {}, failed: () => {} }
const claim = (key: string, owner = 'b') => ({ key, owner, leaseMs: 60_000, ...told })
const completion = (key: string, ttlMs = 60_000) => ({ key, owner: 'a', ttlMs, check: '', ...told })

describe('the memory store', () => {
  storeContract(async () => new MemoryStore({ log: recordingLog().log }))

  test('answers at once, without a promise', () => {
    const store = new MemoryStore({ log: recordingLog().log })
    expect(store.claim(claim('k', 'a'))).toBe('claimed')
    expect(store.complete(completion('k'))).toBe(true)
  })

  test('has a limit: the oldest completed keys go first, and that is said once', () => {
    const { log, lines } = recordingLog()
    const store = new MemoryStore({ log, maxBytes: 100_000 })
    for (let index = 0; index < 10_000; index++) store.complete(completion(`key-${index}`))
    expect(store.claim(claim('key-9999'))).toEqual({ check: '' })
    expect(store.claim(claim('key-0'))).toBe('claimed')
    expect(lines).toEqual([expect.stringContaining('the idempotency store is full')])
  })

  test('a full store keeps the keys that are asked for', () => {
    const store = new MemoryStore({ log: recordingLog().log, maxBytes: 100_000 })
    store.complete(completion('mine'))
    for (let index = 0; index < 10_000; index++) {
      store.complete(completion(`key-${index}`))
      expect(store.claim(claim('mine'))).toEqual({ check: '' })
    }
  })

  test('a full store forgets nothing that is in progress', () => {
    const store = new MemoryStore({ log: recordingLog().log, maxBytes: 100_000 })
    store.claim(claim('mine', 'a'))
    for (let index = 0; index < 10_000; index++) store.complete(completion(`key-${index}`))
    expect(store.claim(claim('mine'))).toBe('busy')
  })

  test('keys that run out make room without a warning', () => {
    const { log, lines } = recordingLog()
    let now = 1
    const store = new MemoryStore({ log, now: () => now })
    store.complete(completion('k', 1000))
    now += 1001
    expect(store.claim(claim('k'))).toBe('claimed')
    expect(lines).toEqual([])
  })
})
