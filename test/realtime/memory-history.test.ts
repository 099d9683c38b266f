import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Append, type HistoryListener, HistoryUnavailable } from '../../src/realtime/history/history.ts'
import { MemoryHistory } from '../../src/realtime/history/memory-history.ts'
import { historyContract, made } from './history-contract.ts'

const silent: HistoryListener = { deliver: () => {}, lost: () => {} }
const limits = { size: 100, ttlMs: 60_000, bytes: 1_000_000 }

function historyOf(bytes: number, listener = silent): MemoryHistory {
  return new MemoryHistory({ limits: () => ({ bytes }), listener })
}

function entry(channel: string, text: string, more: Partial<Append> = {}): Append {
  return { app: 'shop', channel, limits, origin: undefined, ...made('e', text), except: undefined, ...more }
}

describe('in memory', () => {
  historyContract(async listener => historyOf(64_000_000, listener))
})

test('an event is delivered before append returns', () => {
  const delivered: string[] = []
  const history = historyOf(1_000_000, { ...silent, deliver: (_, channel, { text }) => delivered.push(`${channel} ${text}`) })
  history.append(entry('a', '1'))
  expect(delivered).toEqual(['a 1'])
})

test('another process has another epoch', () => {
  expect(historyOf(1).position('shop', 'a').epoch).not.toBe(historyOf(1).position('shop', 'a').epoch)
})

test('past the memory of all channels the one that was quiet the longest is forgotten, and whoever missed something of it is told', () => {
  const history = historyOf(15_000)
  const starts = new Map(['a', 'b', 'c'].map(channel => [channel, history.position('shop', channel)]))
  for (const channel of ['a', 'b', 'c']) history.append(entry(channel, 'x'.repeat(3_000)))
  expect(history.stats()).toMatchObject({ channels: 2, evicted: 1 })
  expect(history.stats().bytes).toBeLessThanOrEqual(15_000)
  const failed = [...starts].map(([channel, start]) => 'failed' in history.since('shop', channel, start))
  expect(failed).toEqual([true, false, false])
})

test('channels without subscribers and events cost nothing, those whose events are too old next to nothing', async () => {
  const history = historyOf(1_000_000)
  for (let n = 0; n < 1_000; n++) history.position('shop', `c${n}`)
  expect(history.stats()).toMatchObject({ channels: 0, bytes: 0 })
  for (let n = 0; n < 100; n++) history.append(entry(`c${n}`, 'x'.repeat(1_000), { limits: { ...limits, ttlMs: 1 } }))
  await expect.poll(() => history.stats().bytes).toBeLessThan(100 * 400)
})

test('whatever is appended, forgotten and asked: a replay is whole or fails, and the bytes add up', () => {
  const step = fc.record({
    channel: fc.constantFrom('a', 'b', 'c', 'd'),
    length: fc.nat(300),
    size: fc.integer({ min: 1, max: 5 }),
    origin: fc.option(fc.nat(6).map(String), { nil: undefined }),
    forgets: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1_000, max: 8_000 }), (steps, bytes) => {
      const history = historyOf(bytes)
      const sent = new Map<string, string[]>()
      const told = new Map<string, { serial: number; epoch: string; at: number }[]>()
      for (const [n, { channel, length, size, origin, forgets }] of steps.entries()) {
        const events = sent.get(channel) ?? []
        const positions = told.get(channel) ?? []
        sent.set(channel, events)
        told.set(channel, positions)
        positions.push({ ...history.position('shop', channel), at: events.length })
        if (forgets && n % 7 === 0) {
          history.retain((_, name) => name !== channel)
          // Passes by the history.
          events.push(`${n} unseen`)
        }
        const text = `${n}`.padEnd(length, '.')
        if (!history.append(entry(channel, text, { origin, limits: { ...limits, size } })).isRepeat) events.push(text)
        for (const [name, all] of told) {
          for (const { at, ...position } of all) {
            const replay = history.since('shop', name, position)
            if ('events' in replay) expect(replay.events.map(event => event.text)).toEqual(sent.get(name)?.slice(at))
          }
        }
      }
      expect(history.stats().bytes).toBeLessThanOrEqual(bytes)
      history.retain(() => false)
      expect(history.stats()).toMatchObject({ channels: 0, bytes: 0 })
    }),
    { numRuns: 300 },
  )
})

test('a history that is away says that an attempt does not count', () => {
  expect(new HistoryUnavailable('away')).toMatchObject({ name: 'HistoryUnavailable', keepsAttempt: true })
})
