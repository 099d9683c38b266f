import { expect, test } from 'vitest'
import { Statistics } from '../../src/runtime/statistics.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

function observed() {
  const clock = new VirtualClock()
  const lines: object[] = []
  const traffic = { processed: 0, errors: 0, lag: 0 }
  const statistics = new Statistics({ clock, log: { info: fields => lines.push(fields) }, read: () => ({ ...traffic }) })
  return { clock, lines, traffic, statistics }
}

test('a line comes after a thousand messages, with the rate since the one before', async () => {
  const { clock, lines, traffic } = observed()
  traffic.processed = 999
  await clock.advance(1_000)
  expect(lines).toEqual([])
  Object.assign(traffic, { processed: 1_200, errors: 3, lag: 40 })
  await clock.advance(1_000)
  expect(lines).toEqual([{ processed: 1_200, errors: 3, perSecond: 600, lag: 40 }])
  traffic.processed = 51_200
  await clock.advance(1_000)
  expect(lines.at(-1)).toMatchObject({ processed: 51_200, perSecond: 50_000 })
})

test('sparse traffic gets a line every ten seconds, none gets none, and quiet time does not count into the rate', async () => {
  const { clock, lines, traffic } = observed()
  await clock.advance(60_000)
  expect(lines).toEqual([])
  traffic.processed = 30
  await clock.advance(10_000)
  expect(lines).toEqual([{ processed: 30, errors: 0, perSecond: 3, lag: 0 }])
  await clock.advance(60_000)
  expect(lines).toHaveLength(1)
})

test('what was not said yet is said at the stop, and nothing after it', async () => {
  const { clock, lines, traffic, statistics } = observed()
  traffic.processed = 5
  statistics.stop()
  expect(lines).toMatchObject([{ processed: 5 }])
  traffic.processed = 5_000
  await clock.advance(60_000)
  expect(lines).toHaveLength(1)
})

test('a subscription that goes away with its counts does not make a rate below nothing', async () => {
  const { clock, lines, traffic } = observed()
  traffic.processed = 1_000
  await clock.advance(1_000)
  traffic.processed = 200
  await clock.advance(1_000)
  traffic.processed = 1_300
  await clock.advance(1_000)
  expect(lines).toMatchObject([{ perSecond: 1_000 }, { perSecond: 1_100 }])
})
