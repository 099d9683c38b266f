import { describe, expect, it } from 'vitest'
import type { DeadLetterRecord } from '../../src/engine/ports.ts'
import { Harness, type HarnessOptions, type Held, held } from './harness.ts'
import { action, batchAction, route, steadyRetry, subscription } from './plan-builders.ts'

/** A route that refuses data of `bad`, and a dead-letter topic that has taken one letter; `done` has what was handled, `writes` what was tried later. */
async function taking(writeDeadLetter: NonNullable<HarnessOptions['writeDeadLetter']> = async () => {}, routes = [refusing()]) {
  const writes: DeadLetterRecord[] = []
  const harness = new Harness(subscription(routes), {
    partitions: [0, 1],
    writeDeadLetter: async letter => {
      if (isFirst) return
      writes.push(letter)
      await writeDeadLetter(letter)
    },
  })
  let isFirst = true
  harness.send('e', 'bad', 'first')
  await harness.clock.advance(1_000)
  isFirst = false
  done.length = 0
  return { harness, writes }
}

const done: unknown[] = []

function refusing(name = 'r') {
  return route(name, [
    action(
      ({ data }) => {
        if (data === 'bad') throw new Error('no')
        done.push(data)
      },
      { retry: { ...steadyRetry, attempts: 1 } },
    ),
  ])
}

describe('once a topic has taken a dead letter', () => {
  it('a key goes on while its next letter is written, and the offset waits for it', async () => {
    const written = held<void>()
    const { harness, writes } = await taking(() => written.promise)
    harness.send('e', 'bad', 'a')
    harness.send('e', 'after it', 'a')
    await harness.clock.advance(1_000)
    expect(writes).toHaveLength(1)
    expect(done).toEqual(['after it'])
    expect(harness.position()).toBe(1)
    expect(harness.processor.counters.route('shop/r')).toMatchObject({ done: 1, deadLettered: 1 })
    expect(harness.processor.isIdle).toBe(false)
    written.resolve()
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(3)
    expect(harness.processor.counters.route('shop/r')).toMatchObject({ done: 1, deadLettered: 2 })
    expect(harness.processor.held.messages).toBe(0)
    expect(harness.processor.isIdle).toBe(true)
  })

  it.each(['throws', 'rejects'])(
    'a key goes on also where the handler %s what is not to be tried again, or nothing can be read',
    async how => {
      const written = held<void>()
      const refused = () => Object.assign(new Error('never'), { name: 'PermanentError' })
      const refuses = action(({ data }) => {
        if (data === 'bad' && how === 'throws') throw refused()
        if (data === 'bad') return Promise.reject(refused())
        done.push(data)
        return undefined
      })
      const { harness, writes } = await taking(() => written.promise, [route('r', [refuses])])
      harness.send('e', 'bad', 'a')
      harness.deliver([{ key: 'a', value: 'not JSON' }])
      harness.send('e', 'after them', 'a')
      await harness.clock.advance(1_000)
      expect(writes.map(({ headers }) => String(headers['kafka_dlt-exception-fqcn']))).toEqual(['PermanentError', 'not-json'])
      expect(done).toEqual(['after them'])
      expect([harness.position(), harness.processor.isIdle]).toEqual([1, false])
      expect(harness.processor.counters.route('shop/r')).toMatchObject({ done: 1, deadLettered: 1 })
      written.resolve()
      await harness.clock.advance(1_000)
      expect(harness.committed()).toBe(4)
      expect(harness.processor.counters.route('shop/r')).toMatchObject({ done: 1, deadLettered: 2 })
      expect([harness.processor.held.messages, harness.processor.isIdle]).toEqual([0, true])
    },
  )

  it('the first letter after a quiet time is written at once, those that follow it leave together', async () => {
    const times: number[] = []
    const { harness } = await taking(async () => {
      times.push(harness.clock.monotonic() - 1_000)
    })
    for (let n = 0; n < 10; n++) {
      harness.send('e', 'bad', 'a')
      await harness.clock.advance(1)
    }
    await harness.clock.advance(1_000)
    expect(times).toEqual([0, ...new Array<number>(9).fill(50)])
    expect(harness.committed()).toBe(11)
  })

  it('keys wait for their letters while one that the topic never takes is tried again', async () => {
    const written = held<void>()
    const { harness } = await taking(({ key }) => (String(key) === 'large' ? Promise.reject(new Error('too large')) : written.promise))
    harness.send('e', 'bad', 'large')
    harness.send('e', 'goes on', 'large')
    await harness.clock.advance(60_000)
    harness.send('e', 'bad', 'a')
    harness.send('e', 'waits', 'a')
    await harness.clock.advance(10_000)
    expect(done).toEqual(['goes on'])
    written.resolve()
    await harness.clock.advance(1_000)
    expect(done).toEqual(['goes on', 'waits'])
    expect(harness.position()).toBe(1)
  })

  it('keys wait for their letters again once one could not be written, until it is', async () => {
    let broken = true
    const { harness } = await taking(async () => {
      if (broken) throw new Error('broker away')
    })
    harness.send('e', 'bad', 'a')
    await harness.clock.settle()
    harness.send('e', 'bad', 'b')
    harness.send('e', 'waits', 'b')
    harness.send('e', 'other key', 'c')
    await harness.clock.advance(60_000)
    expect(done).toEqual(['other key'])
    expect(harness.position()).toBe(1)
    broken = false
    await harness.clock.advance(60_000)
    expect(done).toEqual(['other key', 'waits'])
    expect(harness.committed()).toBe(5)
  })

  it('letters that get no answer for a minute are written again, each for itself', async () => {
    let isSilent = true
    const { harness, writes } = await taking(() => (isSilent ? new Promise(() => {}) : Promise.resolve()))
    for (let n = 0; n < 3; n++) harness.send('e', 'bad', `k${n}`)
    await harness.clock.advance(59_000)
    expect([writes.length, harness.position(), harness.processor.counters.deadLetterFailures]).toEqual([3, 1, 0])
    isSilent = false
    await harness.clock.advance(3_000)
    expect([writes.length, harness.committed(), harness.processor.counters.deadLetterFailures]).toEqual([6, 4, 3])
    expect(harness.processor.isIdle).toBe(true)
  })

  it('keys wait for their letters while a thousand others are on their way', async () => {
    const { harness } = await taking(() => new Promise(() => {}))
    for (let n = 0; n < 1_000; n++) harness.send('e', 'bad', `k${n % 7}`)
    harness.send('e', 'goes on', 'k0')
    await harness.clock.settle()
    harness.send('e', 'bad', 'last')
    harness.send('e', 'waits', 'last')
    await harness.clock.advance(1_000)
    expect(done).toEqual(['goes on'])
  })

  it('a message of two routes ends when both have, the letter of one included', async () => {
    const [written, other] = [held<void>(), held<void>()]
    const slow = route('slow', [action(() => other.promise)])
    const { harness } = await taking(() => written.promise, [refusing(), slow])
    other.resolve()
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(1)
    harness.send('e', 'bad', 'a')
    harness.send('e', 'after it', 'a')
    await harness.clock.advance(1_000)
    expect(done).toEqual(['after it'])
    expect(harness.position()).toBe(1)
    written.resolve()
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(3)
  })

  it('messages that a batch handler refuses are no hindrance to those behind them', async () => {
    const written: Held<void> = held<void>()
    const handled: unknown[] = []
    const batch = batchAction(async entries =>
      entries.map(({ scope: { data } }) => {
        if (data === 'bad') return { error: Object.assign(new Error('no'), { name: 'PermanentError' }) }
        handled.push(data)
        return { value: null }
      }),
    )
    const { harness } = await taking(() => written.promise, [route('r', [batch])])
    for (const data of ['one', 'bad', 'two', 'three']) harness.send('e', data, 'a')
    await harness.clock.advance(5_000)
    expect(handled).toEqual(['one', 'two', 'three'])
    expect(harness.position()).toBe(2)
    written.resolve()
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(5)
  })
})

describe('a partition that leaves while letters are on their way', () => {
  it('waits for them, those that still gather included', async () => {
    const { harness, writes } = await taking()
    for (let n = 0; n < 5; n++) harness.send('e', 'bad', 'a')
    await harness.clock.settle()
    expect(writes).toHaveLength(1)
    const left = harness.processor.revoked([{ topic: 'orders', partition: 0 }], false)
    await harness.clock.advance(50)
    await left
    expect(writes).toHaveLength(5)
    expect(harness.committed()).toBe(6)
  })

  it('is not held up by one that cannot be written, and commits nothing from it on', async () => {
    const { harness } = await taking(() => new Promise(() => {}))
    harness.send('e', 'bad', 'a')
    harness.send('e', 'after it', 'a')
    await harness.clock.settle()
    const drained = harness.processor.drain(3_000)
    await harness.clock.advance(3_000)
    expect(await drained).toEqual({ finished: false, released: 1, repeated: 0 })
    expect(harness.committed()).toBe(1)
    expect(done).toEqual(['after it'])
  })

  it('writes none that had not left when it was lost', async () => {
    const { harness, writes } = await taking()
    for (let n = 0; n < 5; n++) harness.send('e', 'bad', 'a')
    await harness.clock.settle()
    await harness.processor.revoked([{ topic: 'orders', partition: 0 }], true)
    await harness.clock.advance(1_000)
    expect(writes).toHaveLength(1)
    expect(harness.committed()).toBe(1)
  })
})
