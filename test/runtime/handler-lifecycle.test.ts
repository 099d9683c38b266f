import { describe, expect, test } from 'vitest'
import { type Lifecycle, setUp, tearDown } from '../../src/runtime/handler-lifecycle.ts'

const limits = { setupMs: 50, teardownMs: 50 }
const never = () => new Promise<never>(() => {})

/** Modules that write down what is called. */
function modules(...all: readonly (readonly [string, () => unknown])[]): { calls: string[]; lifecycles: readonly Lifecycle[] } {
  const calls: string[] = []
  const lifecycles = all.map(([module, setup]) => ({
    module,
    setup: () => {
      calls.push(`setup ${module}`)
      return setup()
    },
    teardown: () => void calls.push(`teardown ${module}`),
  }))
  return { calls, lifecycles }
}

describe('setup', () => {
  test('that hangs is a fault, the modules before it are torn down, and those after it are not begun', async () => {
    const { calls, lifecycles } = modules(['a', () => {}], ['b', never], ['c', () => {}])
    expect(await setUp(lifecycles, limits, undefined)).toEqual({ module: 'b', message: 'setup() has not ended within 0.05 s' })
    expect(calls).toEqual(['setup a', 'setup b', 'teardown a'])
  })

  test('that ends too late is torn down then', async () => {
    let end = () => {}
    const { calls, lifecycles } = modules(['a', () => new Promise<void>(resolve => (end = resolve))])
    expect(await setUp(lifecycles, limits, undefined)).toMatchObject({ module: 'a' })
    expect(calls).toEqual(['setup a'])
    end()
    await expect.poll(() => calls).toEqual(['setup a', 'teardown a'])
  })

  test('is not waited for any longer when the router stops', async () => {
    const stop = new AbortController()
    const { calls, lifecycles } = modules(['a', () => {}], ['b', never])
    const setting = setUp(lifecycles, { setupMs: 1e9, teardownMs: 50 }, stop.signal)
    stop.abort(new Error('the router stops'))
    await expect(setting).rejects.toThrow('the router stops')
    expect(calls.at(-1)).toBe('teardown a')
  })
})

test('a teardown that hangs is given up, and does not keep the others from ending', async () => {
  const ended: string[] = []
  const failures = await tearDown([never, async () => void ended.push('b'), () => Promise.reject(new Error('no'))], 50)
  expect(failures).toEqual([new Error('teardown() has not ended within 0.05 s'), new Error('no')])
  expect(ended).toEqual(['b'])
})
