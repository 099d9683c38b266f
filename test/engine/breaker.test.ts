import { describe, expect, test } from 'vitest'
import { TemplateError } from '../../src/compiler/scope.ts'
import { Harness } from './harness.ts'
import { action, type Run, route, subscription } from './plan-builders.ts'

const policy = { failures: 3, resetMs: 1_000 }
const retry = { attempts: 2, backoff: 'fixed', delayMs: 100, maxDelayMs: 100, jitter: 'none', mode: 'in-order' } as const

/** One action behind a breaker; `dependency.error` is what it throws while it is down. */
function guarded(changes: { readonly attempts?: number; readonly concurrency?: number; readonly isAsync?: boolean } = {}) {
  const dependency: { error: Error | undefined } = { error: new Error('down') }
  const calls: { at: number; value: unknown; attempt: number }[] = []
  const run: Run = (scope, attempt) => {
    calls.push({ at: harness.clock.monotonic(), value: scope.data, attempt: attempt.number })
    const { error } = dependency
    if (changes.isAsync === true) return error === undefined ? Promise.resolve() : Promise.reject(error)
    if (error !== undefined) throw error
    return undefined
  }
  const guardedRoute = () => route('one', [action(run, { breaker: policy, retry: { ...retry, attempts: changes.attempts ?? 2 } })])
  const plan = () => subscription([guardedRoute()], { concurrency: changes.concurrency ?? 64 })
  const harness: Harness = new Harness(plan())
  const send = (count: number, from = 0) => {
    for (let index = from; index < from + count; index++) harness.send('e', index, `k${index}`)
  }
  return { harness, dependency, calls, send, plan }
}

describe('a breaker', () => {
  test.each([true, false])(
    'keeps the attempts of a backlog while a dependency is down, and lets all go on when it is back (async %s)',
    async isAsync => {
      const { harness, dependency, calls, send } = guarded({ isAsync, attempts: 4 })
      send(100)
      await harness.clock.advance(60_000)
      // The first try of those that had started or took the place of one that failed before it opened, and one try a second after that.
      const first = calls.filter(({ at }) => at === 0).length
      expect(first).toBeLessThanOrEqual(64 + policy.failures)
      expect(calls.length - first).toBeLessThanOrEqual(61)
      expect(calls.every(({ attempt }) => attempt <= 2)).toBe(true)
      expect(harness.letters).toEqual([])
      expect(harness.processor.counters).toMatchObject({ breakerOpened: 1, breakersOpen: 1 })
      expect(harness.logged('error')).toEqual(['the breaker opened: its messages wait, and their attempts are not used up'])
      dependency.error = undefined
      await harness.clock.runOut()
      expect(harness.letters).toEqual([])
      expect(harness.processor.counters.routes.get('shop/one')?.done).toBe(100)
      expect(harness.processor.counters.breakersOpen).toBe(0)
      expect(harness.committed()).toBe(100)
      expect(harness.logged('info')).toContain('the breaker closed: it works again')
    },
  )

  test('opens only after failures in a row', async () => {
    const { harness, dependency, send } = guarded({ attempts: 1 })
    for (let round = 0; round < 5; round++) {
      dependency.error = new Error('down')
      send(2, round * 3)
      dependency.error = undefined
      send(1, round * 3 + 2)
    }
    await harness.clock.runOut()
    expect(harness.processor.counters).toMatchObject({ breakerOpened: 0 })
    expect(harness.letters).toHaveLength(10)
  })

  test('what is refused for good, and templates that fail, do not open it', async () => {
    const { harness, dependency, send } = guarded()
    dependency.error = Object.assign(new Error('no'), { name: 'PermanentError' })
    send(10)
    dependency.error = new TemplateError('data.x is missing', '{{data.x}}')
    send(10, 10)
    await harness.clock.runOut()
    expect(harness.processor.counters).toMatchObject({ breakerOpened: 0 })
    expect(harness.letters).toHaveLength(20)
  })

  test('a template that fails between failures does not make them start anew', async () => {
    const { harness, dependency, send } = guarded({ attempts: 1 })
    send(2)
    dependency.error = new TemplateError('data.x is missing', '{{data.x}}')
    send(1, 2)
    dependency.error = new Error('down')
    send(1, 3)
    expect(harness.processor.counters).toMatchObject({ breakerOpened: 1 })
  })

  test('lets the messages try in turn: one that fails for its own sake does not hold up the others for ever', async () => {
    const { harness, calls, send, dependency } = guarded({ attempts: 2 })
    send(5)
    await harness.clock.advance(20_000)
    const probes = calls.filter(({ at }) => at >= 1_000).map(({ value }) => value)
    expect(new Set(probes.slice(0, 5)).size).toBe(5)
    dependency.error = undefined
    await harness.clock.runOut()
    expect(harness.letters).toEqual([])
  })

  test('a key that alone always fails uses up its attempts, and does not wait for ever', async () => {
    const { harness, calls } = guarded({ attempts: 4 })
    for (const index of [0, 1, 2]) harness.send('e', index, 'bad')
    await harness.clock.advance(60_000)
    expect(harness.letters).toHaveLength(3)
    expect(harness.committed()).toBe(3)
    expect(calls.map(({ value, attempt }) => [value, attempt])).toEqual([0, 1, 2].flatMap(value => [1, 2, 3, 4].map(each => [value, each])))
    // Three failures opened it: from then on one try a second.
    expect(calls.slice(3).every(({ at }, index) => at >= 1_000 * (index + 1))).toBe(true)
  })

  test('one of another key tries first; as soon as it fails too, a dependency is down and attempts are kept', async () => {
    const { harness, dependency } = guarded({ attempts: 4 })
    harness.send('e', 0, 'bad')
    await harness.clock.advance(500)
    expect(harness.processor.counters).toMatchObject({ breakersOpen: 1 })
    harness.send('e', 1, 'other')
    await harness.clock.advance(3_600_000)
    expect(harness.letters).toEqual([])
    dependency.error = undefined
    await harness.clock.runOut()
    expect(harness.letters).toEqual([])
    expect(harness.committed()).toBe(2)
  })

  test('messages without a key have nothing in common: their attempts are kept', async () => {
    const { harness, dependency } = guarded({ attempts: 2 })
    harness.deliver([0, 1, 2, 3].map(index => ({ key: null, value: JSON.stringify({ event: 'e', data: index }) })))
    await harness.clock.advance(3_600_000)
    // The first two tries of the first message, then one of the second opened it.
    expect(harness.letters).toHaveLength(1)
    dependency.error = undefined
    await harness.clock.runOut()
    expect(harness.letters).toHaveLength(1)
    expect(harness.committed()).toBe(4)
  })

  test('other actions go on', async () => {
    const seen: unknown[] = []
    const fails: Run = () => {
      throw new Error('down')
    }
    const routes = [
      route('one', [action(fails, { breaker: policy, retry })]),
      route('two', [action(({ data }) => void seen.push(data), { breaker: policy })]),
    ]
    const harness = new Harness(subscription(routes))
    for (let index = 0; index < 10; index++) harness.send('e', index, `k${index}`)
    await harness.clock.advance(5_000)
    expect(seen).toHaveLength(10)
  })

  test('a partition that leaves takes its waiting messages along, and another message tries', async () => {
    const { harness, dependency, send } = guarded()
    harness.processor.assigned([{ topic: 'orders', partition: 1 }])
    send(5)
    harness.send('e', 'other', 'k', 1)
    await harness.clock.advance(500)
    await Promise.all([harness.processor.revoked([{ topic: 'orders', partition: 0 }], false), harness.clock.settle()])
    expect(harness.committed(0)).toBe(0)
    dependency.error = undefined
    await harness.clock.runOut()
    expect(harness.committed(1)).toBe(1)
  })

  test('a reload does not forget that the dependency is down, and brings new numbers', async () => {
    const { harness, calls, send, plan } = guarded()
    send(3)
    await harness.clock.advance(50)
    harness.processor.swap(plan())
    const before = calls.length
    send(3, 3)
    await harness.clock.settle()
    expect(calls).toHaveLength(before)
  })
})
