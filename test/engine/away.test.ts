import { expect, test } from 'vitest'
import { Harness } from './harness.ts'
import { action, type Run, route, subscription } from './plan-builders.ts'

const retry = { attempts: 2, backoff: 'fixed', delayMs: 100, maxDelayMs: 100, jitter: 'none', mode: 'in-order' } as const

/** As the history's own error, which the engine does not know. */
class Away extends Error {
  readonly keepsAttempt = true
}

test('while what an action needs is away its messages wait, keep their attempts, and say so once', async () => {
  const state: { error: Error | undefined } = { error: new Away('nobody answers') }
  const done: unknown[] = []
  const run: Run = async ({ data }, attempt) => {
    expect(attempt.number).toBe(1)
    if (state.error !== undefined) throw state.error
    done.push(data)
  }
  const harness = new Harness(subscription([route('one', [action(run, { retry })])]))
  for (let index = 0; index < 5; index++) harness.send('e', index, `k${index}`)
  await harness.clock.advance(600_000)
  expect(harness.letters).toEqual([])
  expect(harness.processor.counters).toMatchObject({ waitingForHistory: 5, retries: 0 })
  expect(harness.logged('error')).toEqual([
    'the history does not answer: broadcasts to channels with history wait for it, and their attempts are not used up',
  ])
  state.error = undefined
  await harness.clock.advance(2_000)
  expect(done.toSorted()).toEqual([0, 1, 2, 3, 4])
  expect(harness.position()).toBe(5)
  expect(harness.processor.counters.waitingForHistory).toBe(0)
  expect(harness.logged('info')).toEqual(['the history answers again'])
})

test('failures before and after it count as they do', async () => {
  const errors = [new Error('one'), new Away('away'), new Away('away'), new Error('two')]
  const numbers: number[] = []
  const run: Run = async (_, attempt) => {
    numbers.push(attempt.number)
    const error = errors.shift()
    if (error !== undefined) throw error
  }
  const harness = new Harness(subscription([route('one', [action(run, { retry })])]))
  harness.send('e', 1)
  await harness.clock.runOut()
  expect(numbers).toEqual([1, 2, 2, 2])
  expect(harness.letters).toHaveLength(1)
})

test('one origin names an action of a message, whichever attempt and element it is', async () => {
  const origins: string[] = []
  const run: Run = (_, attempt) => {
    origins.push(attempt.origin)
    if (attempt.number === 1) throw new Error('again')
    return undefined
  }
  const harness = new Harness(subscription([route('one', [action(run, { retry }), action(run, { retry })])]))
  harness.send('e', 1)
  await harness.clock.runOut()
  expect(new Set(origins).size).toBe(2)
  expect(origins[0]).toBe(origins[1])
  expect(origins[0]).toMatch(/^[^:]+:[^:]+:0:0:\d+:shop\/one:0$/)
})
