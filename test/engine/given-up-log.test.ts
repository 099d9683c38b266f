import { describe, expect, it } from 'vitest'
import { Harness } from './harness.ts'
import { action, noDeadLetter, route, steadyRetry, subscription } from './plan-builders.ts'

function failing(name: (data: unknown) => string, overrides: Parameters<typeof action>[1] = {}): Harness {
  const fail = action(
    ({ data }) => {
      throw Object.assign(new Error('no'), { name: name(data) })
    },
    { retry: { ...steadyRetry, attempts: 1 }, ...overrides },
  )
  return new Harness(subscription([route('r', [fail])]))
}

function sendMany(harness: Harness, count: number): void {
  for (let n = 0; n < count; n++) harness.send('e', n, `k${n}`)
}

describe('the log of what is given up', () => {
  it('has a line for each message, with its place, while they are few', async () => {
    const harness = failing(() => 'Refusal')
    for (let second = 0; second < 3; second++) {
      sendMany(harness, 20)
      await harness.clock.advance(1_000)
    }
    expect(harness.logged('warn')).toEqual(new Array<string>(60).fill('dead-lettered: no'))
    expect(harness.log[0]?.fields).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0,
      route: 'shop/r',
      action: '0:test',
      attempts: 1,
      error: 'Refusal',
      deadLetterTopic: 'orders.dlq',
    })
  })

  it('tells of a flood in one line a second, with how many for each reason', async () => {
    const harness = failing(data => (Number(data) % 4 === 0 ? 'Rare' : 'Common'))
    sendMany(harness, 120)
    await harness.clock.advance(999)
    expect(harness.logged('warn')).toHaveLength(20)
    await harness.clock.advance(1)
    expect(harness.logged('warn').slice(20)).toEqual(['100 more messages were dead-lettered or skipped'])
    expect(harness.log.at(-1)?.fields).toEqual({ messages: 100, reasons: { 'shop/r: Rare': 25, 'shop/r: Common': 75 } })
    await harness.clock.advance(60_000)
    expect(harness.logged('warn')).toHaveLength(21)
    expect(harness.letters).toHaveLength(120)
  })

  it('does not grow with the names of errors', async () => {
    const harness = failing(String)
    sendMany(harness, 1_000)
    await harness.clock.advance(1_000)
    const { reasons } = Object(harness.log.at(-1)?.fields)
    expect(Object.keys(reasons)).toHaveLength(21)
    expect(reasons['(others)']).toBe(960)
  })

  it('counts what is skipped in the same way, and a stop tells the rest', async () => {
    const harness = failing(() => 'Refusal', { deadLetter: noDeadLetter })
    sendMany(harness, 30)
    await harness.clock.settle()
    expect(harness.logged('warn')).toEqual(new Array<string>(20).fill('given up (onFailure: skip): no'))
    await harness.processor.drain(1_000)
    expect(harness.logged('warn').slice(20)).toEqual(['10 more messages were dead-lettered or skipped'])
    expect(harness.clock.waits).toEqual([])
  })
})
