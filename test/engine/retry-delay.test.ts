import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RetryPolicy } from '../../src/compiler/plan.ts'
import { retryDelay, waitAfter } from '../../src/engine/retry-delay.ts'

const policy = (overrides: Partial<RetryPolicy>): RetryPolicy => ({
  attempts: 9,
  backoff: 'exponential',
  delayMs: 500,
  maxDelayMs: 30_000,
  jitter: 'none',
  mode: 'in-order',
  ...overrides,
})

const firstWaits = (retry: RetryPolicy) => [1, 2, 3, 4, 5, 6, 7, 8].map(attempt => retryDelay(retry, attempt, () => 0.5))

describe('the wait before a retry', () => {
  it.each([
    ['fixed', policy({ backoff: 'fixed' }), [500, 500, 500, 500, 500, 500, 500, 500]],
    ['linear', policy({ backoff: 'linear' }), [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000]],
    ['exponential', policy({}), [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ['linear, bounded', policy({ backoff: 'linear', maxDelayMs: 1200 }), [500, 1000, 1200, 1200, 1200, 1200, 1200, 1200]],
    ['fixed, bounded', policy({ backoff: 'fixed', maxDelayMs: 100 }), [100, 100, 100, 100, 100, 100, 100, 100]],
    ['full jitter at one half', policy({ jitter: 'full' }), [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]],
  ])('%s', (_name, retry, waits) => {
    expect(firstWaits(retry)).toEqual(waits)
  })

  it('full jitter reaches from nothing up to the whole wait', () => {
    const retry = policy({ jitter: 'full' })
    expect(retryDelay(retry, 1, () => 0)).toBe(0)
    expect(retryDelay(retry, 1, () => 0.999999)).toBe(500)
  })

  it('is a number of milliseconds up to maxDelay for every policy and attempt', () => {
    const policies = fc.record({
      attempts: fc.constant(1_000_000),
      backoff: fc.constantFrom('fixed' as const, 'linear' as const, 'exponential' as const),
      delayMs: fc.nat({ max: 86_400_000 }),
      maxDelayMs: fc.nat({ max: 86_400_000 }),
      jitter: fc.constantFrom('full' as const, 'none' as const),
    })
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(policies, fc.integer({ min: 1, max: 100_000 }), random, (retry, attempt, at) => {
        const wait = retryDelay(retry, attempt, () => at)
        expect(wait).toBeGreaterThanOrEqual(0)
        expect(wait).toBeLessThanOrEqual(retry.maxDelayMs)
      }),
    )
  })

  it('no delay stays no delay after thousands of attempts', () => {
    expect(retryDelay(policy({ delayMs: 0 }), 5_000, () => 0.5)).toBe(0)
  })
})

describe('a failure that says how long to wait', () => {
  const policy = { attempts: 5, backoff: 'fixed', delayMs: 100, maxDelayMs: 1_000, jitter: 'none' } as const
  const asking = (retryAfterMs: unknown) => Object.assign(new Error('busy'), { retryAfterMs })

  it.each([
    [asking(700), 700],
    [asking(60_000), 1_000],
    [asking(10), 100],
    [asking(-5), 100],
    [asking('soon'), 100],
    [asking(Number.NaN), 100],
    [new Error('no'), 100],
    ['no', 100],
  ])('%s: %i ms', (failure, expected) => {
    expect(waitAfter(policy, 1, failure, () => 1)).toBe(expected)
  })
})
