import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { IdempotencyStore } from '../../src/stores/idempotency-store.ts'
import { type AskedStore, asked } from './asked.ts'

/** Long enough to count as for ever here. */
const long = 60_000

/** What every idempotency store does. `open` gives an empty store, or at least one that knows none of the keys made here. */
export function storeContract(open: () => Promise<IdempotencyStore>): void {
  let store: AskedStore
  let key = ''
  const claim = (owner: string, leaseMs = long) => ({ key, owner, leaseMs })
  const completion = (owner: string, ttlMs = long, check = '') => ({ key, owner, ttlMs, check })

  beforeEach(async () => {
    store = asked(await open())
    key = `${randomUUID()} ü`
  })

  afterEach(() => store.close())

  test('a free key is claimed, by one owner only', async () => {
    expect(await store.claim(claim('a'))).toBe('claimed')
    expect(await store.claim(claim('b'))).toBe('busy')
    expect(await store.claim({ ...claim('b'), key: `${key}2` })).toBe('claimed')
  })

  test('a claim asked for again by its owner is still its own: the first answer may have been lost', async () => {
    await store.claim(claim('a'))
    expect(await store.claim(claim('a'))).toBe('claimed')
    expect(await store.claim(claim('b'))).toBe('busy')
  })

  test('of many who ask at once, one gets the key', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => store.claim(claim(`owner-${index}`))))
    expect(answers.filter(answer => answer === 'claimed')).toHaveLength(1)
    expect(answers.filter(answer => answer === 'busy')).toHaveLength(49)
  })

  test('a released key is free, and only its owner can release it', async () => {
    await store.claim(claim('a'))
    store.release({ key, owner: 'b' })
    expect(await store.claim(claim('b'))).toBe('busy')
    store.release({ key, owner: 'a' })
    await expect.poll(() => store.claim(claim('b'))).toBe('claimed')
  })

  test('a completed key is completed for everybody, with its check', async () => {
    await store.claim(claim('a'))
    expect(await store.complete(completion('a', long, 'hash'))).toBe(true)
    expect(await store.claim(claim('a'))).toEqual({ check: 'hash' })
    expect(await store.claim(claim('b'))).toEqual({ check: 'hash' })
    store.release({ key, owner: 'a' })
    expect(await store.claim(claim('b'))).toEqual({ check: 'hash' })
  })

  test('completing twice is fine: the first answer may have been lost', async () => {
    await store.claim(claim('a'))
    expect(await store.complete(completion('a'))).toBe(true)
    expect(await store.complete(completion('a'))).toBe(true)
    expect(await store.complete(completion('b'))).toBe(true)
    expect(await store.claim(claim('b'))).toEqual({ check: '' })
  })

  test('somebody else cannot complete a key that is worked on', async () => {
    await store.claim(claim('a'))
    expect(await store.complete(completion('b'))).toBe(false)
    expect(await store.claim(claim('c'))).toBe('busy')
  })

  test('a key that the store has forgotten can be completed: nobody else works on it', async () => {
    expect(await store.complete(completion('a'))).toBe(true)
    expect(await store.claim(claim('b'))).toEqual({ check: '' })
  })

  test('after its lease a claim is free; a renewed one is not', async () => {
    const kept = { ...claim('a', 150), key: `${key}-kept` }
    await store.claim(claim('a', 150))
    await store.claim(kept)
    const renewing = setInterval(() => void store.renew(kept), 30)
    await expect.poll(() => store.claim(claim('b'))).toBe('claimed')
    expect(await store.claim({ ...kept, owner: 'b' })).toBe('busy')
    clearInterval(renewing)
    expect(await store.renew(claim('a', 150))).toBe(false)
    expect(await store.complete(completion('a'))).toBe(false)
  })

  test('a claim that has run out and that nobody took can be renewed', async () => {
    await store.claim(claim('a', 20))
    await sleep(60)
    expect(await store.renew(claim('a'))).toBe(true)
    expect(await store.claim(claim('b'))).toBe('busy')
  })

  test('what is completed cannot be renewed', async () => {
    await store.claim(claim('a'))
    await store.complete(completion('a'))
    expect(await store.renew(claim('a'))).toBe(false)
  })

  test('a completed key is forgotten after its ttl', async () => {
    await store.claim(claim('a'))
    await store.complete(completion('a', 150))
    expect(await store.claim(claim('b'))).toEqual({ check: '' })
    await expect.poll(() => store.claim(claim('b'))).toBe('claimed')
  })

  test('keys of any characters are told apart', async () => {
    const keys = fc.array(fc.string({ unit: 'grapheme', maxLength: 40 }), { minLength: 2, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(keys, async texts => {
        const prefix = randomUUID()
        const unique = [...new Set(texts)]
        const claims = unique.map(text => ({ key: `${prefix}${text}`, owner: 'a', leaseMs: long }))
        expect(await Promise.all(claims.map(one => store.claim(one)))).toEqual(unique.map(() => 'claimed'))
      }),
      { numRuns: 20 },
    )
  })

  test('whatever several owners do in whatever order, a completed key is never claimed and two never hold one', async () => {
    const step = fc.record({ owner: fc.constantFrom('a', 'b', 'c'), act: fc.constantFrom('claim', 'renew', 'complete', 'release') })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async steps => {
        const one = `${key}${randomUUID()}`
        let holder: string | undefined
        let isCompleted = false
        for (const { owner, act } of steps) {
          const mine = holder === undefined || holder === owner
          if (act === 'claim') {
            const answer = await store.claim({ key: one, owner, leaseMs: long })
            expect(answer).toEqual(isCompleted ? { check: '' } : mine ? 'claimed' : 'busy')
            if (answer === 'claimed') holder = owner
          } else if (act === 'renew') {
            const answer = await store.renew({ key: one, owner, leaseMs: long })
            expect(answer).toBe(!isCompleted && mine)
            if (answer) holder = owner
          } else if (act === 'complete') {
            const answer = await store.complete({ key: one, owner, ttlMs: long, check: '' })
            expect(answer).toBe(isCompleted || mine)
            if (answer) [isCompleted, holder] = [true, undefined]
          } else {
            store.release({ key: one, owner })
            // Releases are not waited for: a question of another kind may overtake one.
            await sleep(holder === owner ? 15 : 0)
            if (holder === owner) holder = undefined
          }
        }
      }),
      { numRuns: 40 },
    )
  })
}
