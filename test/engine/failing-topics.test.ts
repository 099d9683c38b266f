import { describe, expect, it } from 'vitest'
import { PermanentError } from '../../src/actions/handler.ts'
import type { ActionPlan, RetryPolicy } from '../../src/compiler/plan.ts'
import { Harness, type HarnessOptions, type Held, held } from './harness.ts'
import { action, noting, type Run, route, steadyRetry, subscription } from './plan-builders.ts'

const retryTopics = [{ topic: 'app.shop.signalbox-retry-1s', longestMs: 1_000 }]
const throughTopics: RetryPolicy = { ...steadyRetry, delayMs: 1_000, mode: 'topics' }

/** A topic that takes nothing until it is told to: it refuses each write at once, or never answers. */
function failingTopic(how: 'refuses' | 'hangs') {
  const state = { fails: true, writes: 0 }
  const write = async () => {
    state.writes++
    if (!state.fails) return
    if (how === 'hangs') await new Promise(() => {})
    throw new Error('no leader')
  }
  return { state, write }
}

const giveUp: Run = () => {
  throw new PermanentError('no')
}

const failOnce: Run = (_, { number }) => {
  if (number === 1) throw new Error('busy')
}

/** Events `bad` end in a topic, events `good` are done at once. */
function shop(bad: readonly ActionPlan[], options: HarnessOptions) {
  const good: unknown[] = []
  const routes = [
    route('bad', bad, { events: ['bad'] }),
    route(
      'good',
      [
        action(
          noting(good, ({ key }) => key),
          {},
        ),
      ],
      { events: ['good'] },
    ),
  ]
  const harness = new Harness(subscription(routes, { concurrency: 2, retryTopics }), options)
  return { harness, good }
}

describe.each([
  ['dead-letter', action(giveUp), 'writeDeadLetter'],
  ['retry', action(failOnce, { retry: throughTopics }), 'writeRetry'],
] as const)('a %s topic that fails', (_, bad, port) => {
  it.each([
    ['refuses', 0],
    ['hangs', 60_000],
  ] as const)('and %s keeps the keys waiting that need it, and no others', async (how, firstMs) => {
    const { state, write } = failingTopic(how)
    const { harness, good } = shop([bad], { [port]: write })
    for (let key = 0; key < 10; key++) harness.send('bad', {}, `bad-${key}`)
    await harness.clock.advance(firstMs)
    expect(state.writes).toBeGreaterThanOrEqual(10)
    for (let key = 0; key < 10; key++) harness.send('good', {}, `good-${key}`)
    harness.send('good', {}, 'bad-0')
    await harness.clock.settle()
    expect(good).toHaveLength(10)
    expect(good).not.toContain('bad-0')
    expect(harness.position()).toBe(0)
    state.fails = false
    await harness.clock.advance(120_000)
    expect(good).toHaveLength(11)
    expect(harness.position()).toBe(21)
  })

  it('does not keep a stop waiting', async () => {
    const { state, write } = failingTopic('refuses')
    const { harness } = shop([bad], { [port]: write })
    for (let key = 0; key < 10; key++) harness.send('bad', {}, `bad-${key}`)
    await harness.clock.advance(1_000)
    state.fails = false
    const drained = harness.processor.drain(25_000)
    await harness.clock.settle()
    expect(await drained).toMatchObject({ finished: true, released: 10 })
    expect(harness.clock.waits).toEqual([])
  })
})

it('a dead-letter topic that is back lets no more routes go on after it than there are places', async () => {
  const { state, write } = failingTopic('refuses')
  const ends: Held[] = []
  const next = action(() => {
    const end = held()
    ends.push(end)
    return end.promise
  })
  const { harness } = shop([action(giveUp, { continueOnError: true }), next], { writeDeadLetter: write })
  for (let key = 0; key < 10; key++) harness.send('bad', {}, `bad-${key}`)
  await harness.clock.advance(5_000)
  state.fails = false
  await harness.clock.advance(5_000)
  for (let ended = 0; ended < 10; ended++) {
    await harness.clock.settle()
    expect(ends).toHaveLength(Math.min(ended + 2, 10))
    ends[ended]?.resolve(undefined)
  }
  await harness.clock.settle()
  expect(harness.position()).toBe(10)
})
