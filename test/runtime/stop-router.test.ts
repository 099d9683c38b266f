import { expect, test } from 'vitest'
import { type EndingRouter, stopRouter } from '../../src/runtime/stop-router.ts'

const never = new Promise<never>(() => {})
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const idle: EndingRouter = {
  fleet: { stop: () => [] },
  server: { close: async () => {} },
  reloading: Promise.resolve(),
  drained: () => {},
  closeRest: () => [],
}
/** A slow machine may need it on top of the grace period. */
const patienceMs = 3_000

async function timed(router: Partial<EndingRouter>, graceMs: number) {
  const startedAt = performance.now()
  const { cut } = await stopRouter({ ...idle, ...router }, graceMs, silent)
  return { cut, tookMs: performance.now() - startedAt }
}

test('a stop at which everything ends waits for nothing', async () => {
  const { cut, tookMs } = await timed({}, 60_000)
  expect(cut).toEqual([])
  expect(tookMs).toBeLessThan(patienceMs)
})

test('however many parts hang, the stop takes no longer than the grace period, and says which', async () => {
  const { cut, tookMs } = await timed(
    {
      fleet: { stop: () => [{ subscription: 'orders', drained: never, left: never }] },
      server: { close: () => never },
      reloading: never,
      closeRest: () => [
        ['the broker connections', never],
        ['the inspector', undefined],
      ],
    },
    1_000,
  )
  expect(tookMs).toBeLessThan(1_000 + patienceMs)
  expect(cut.toSorted()).toEqual([
    'a reload under way',
    'running work of orders',
    'the broker connections',
    'the consumer of orders',
    'the sockets',
  ])
})

test('sockets and what comes after them are closed in order though the consumers do not get away', async () => {
  const order: string[] = []
  const { cut } = await timed(
    {
      fleet: {
        stop: () => [{ subscription: 'orders', drained: Promise.resolve({ finished: false, released: 1, repeated: 0 }), left: never }],
      },
      drained: () => void order.push('drained'),
      server: { close: async ({ graceMs }) => void order.push(graceMs > 0 ? 'sockets, with time' : 'sockets, without') },
      closeRest: withinMs => {
        order.push(withinMs > 0 ? 'rest, with time' : 'rest, without')
        return []
      },
    },
    1_000,
  )
  expect(order).toEqual(['drained', 'sockets, with time', 'rest, with time'])
  expect(cut.toSorted()).toEqual(['running work of orders', 'the consumer of orders'])
})

test('a part that fails is named, and the others are closed all the same', async () => {
  const closed: string[] = []
  const { cut } = await timed(
    {
      server: { close: () => Promise.reject(new Error('no')) },
      closeRest: () => [['the inspector', Promise.resolve().then(() => closed.push('inspector'))]],
    },
    1_000,
  )
  expect([cut, closed]).toEqual([['the sockets'], ['inspector']])
})
