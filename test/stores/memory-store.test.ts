import { describe, expect, test } from 'vitest'
import { MemoryStore } from '../../src/stores/memory-store.ts'
import { recordingLog } from './recording-log.ts'
import { storeContract } from './store-contract.ts'

describe('the memory store', () => {
  storeContract(async () => new MemoryStore({ log: recordingLog().log }))

  test('answers at once, without a promise', () => {
    const store = new MemoryStore({ log: recordingLog().log })
    expect(store.claim({ key: 'k', owner: 'a', leaseMs: 1000 })).toBe('claimed')
    expect(store.complete({ key: 'k', owner: 'a', ttlMs: 1000, check: '' })).toBe(true)
  })

  test('has a limit: the oldest completed keys go first, and that is said once', () => {
    const { log, lines } = recordingLog()
    const store = new MemoryStore({ log, maxBytes: 100_000 })
    for (let index = 0; index < 10_000; index++) store.complete({ key: `key-${index}`, owner: 'a', ttlMs: 60_000, check: '' })
    expect(store.claim({ key: 'key-9999', owner: 'b', leaseMs: 1000 })).toEqual({ check: '' })
    expect(store.claim({ key: 'key-0', owner: 'b', leaseMs: 1000 })).toBe('claimed')
    expect(lines).toEqual([expect.stringContaining('the idempotency store is full')])
  })

  test('a full store forgets nothing that is in progress', () => {
    const store = new MemoryStore({ log: recordingLog().log, maxBytes: 100_000 })
    store.claim({ key: 'mine', owner: 'a', leaseMs: 60_000 })
    for (let index = 0; index < 10_000; index++) store.complete({ key: `key-${index}`, owner: 'a', ttlMs: 60_000, check: '' })
    expect(store.claim({ key: 'mine', owner: 'b', leaseMs: 1000 })).toBe('busy')
  })

  test('keys that run out make room without a warning', () => {
    const { log, lines } = recordingLog()
    let now = 1
    const store = new MemoryStore({ log, now: () => now })
    store.complete({ key: 'k', owner: 'a', ttlMs: 1000, check: '' })
    now += 1001
    expect(store.claim({ key: 'k', owner: 'b', leaseMs: 1000 })).toBe('claimed')
    expect(lines).toEqual([])
  })
})
