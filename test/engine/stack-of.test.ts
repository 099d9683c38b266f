import { afterEach, describe, expect, it } from 'vitest'
import { assertTopicName } from '../../src/brokers/topic-name.ts'
import { keepWholeStacks, stackOf } from '../../src/engine/stack-of.ts'
import { Harness } from './harness.ts'
import { action, route, steadyRetry, subscription } from './plan-builders.ts'

const standard = Error.prepareStackTrace
afterEach(() => {
  Error.prepareStackTrace = standard
})

/** The stack in the dead letter of a handler that throws it. */
async function letterOf(thrown: () => Error): Promise<string> {
  const fails = action(
    function handler() {
      throw thrown()
    },
    { retry: { ...steadyRetry, attempts: 1 } },
  )
  const harness = new Harness(subscription([route('r', [fails])]))
  harness.send('e')
  await harness.clock.advance(1_000)
  return String(harness.letters[0]?.headers['kafka_dlt-exception-stacktrace'])
}

describe('the stack of a failure', () => {
  it('shows the code of the handler and ends where the router begins', async () => {
    const [first, ...frames] = (await letterOf(() => new RangeError('too far'))).split('\n')
    expect(first).toBe('RangeError: too far')
    expect(frames.some(frame => /at .*handler .*stack-of\.test\.ts/.test(frame))).toBe(true)
    expect(frames.filter(frame => frame.includes('/src/engine/'))).toEqual([])
  })

  it('is whole where the router itself has thrown', () => {
    expect.assertions(1)
    try {
      assertTopicName('not a topic')
    } catch (error) {
      if (error instanceof Error) expect(stackOf(error)).toMatch(/\/src\/brokers\/topic-name\.ts.*\n.*\/stack-of\.test\.ts/)
    }
  })

  it('is that of whoever puts stacks together in another way, and leaves that as it was', async () => {
    Error.prepareStackTrace = error => `mine: ${error.message}`
    const mine = Error.prepareStackTrace
    expect(await letterOf(() => new Error('no'))).toBe('mine: no')
    expect(Error.prepareStackTrace).toBe(mine)
    Error.prepareStackTrace = standard
    await letterOf(() => new Error('no'))
    expect(Error.prepareStackTrace).toBe(standard)
  })

  it('is none where an error has none', () => {
    const error = new Error('bare')
    Reflect.deleteProperty(error, 'stack')
    expect(stackOf(error)).toBeUndefined()
    expect(stackOf(Object.assign(new Error('odd'), { stack: 7 }))).toBeUndefined()
  })

  it('is whole once source maps are to hold for it', async () => {
    keepWholeStacks()
    expect(await letterOf(() => new Error('no'))).toContain('/src/engine/')
  })
})
