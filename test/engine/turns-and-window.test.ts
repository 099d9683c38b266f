import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SubscriptionPlan } from '../../src/compiler/plan.ts'
import { Harness, type Held, held } from './harness.ts'
import { action, envelope, noting, record, route, subscription } from './plan-builders.ts'

const values = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => ({ key: `k${from + index}`, value: String(from + index) }))

/** Every message takes `ms` of synchronous work. */
function working(ms: number, seen: unknown[], overrides: Partial<SubscriptionPlan> = {}): Harness {
  const harness: Harness = new Harness(
    subscription(
      [
        route('r', [
          action(({ partition, offset }) => {
            harness.clock.elapse(ms)
            seen.push(`${partition}/${offset}`)
          }),
        ]),
      ],
      overrides,
    ),
    { partitions: [0, 1] },
  )
  return harness
}

describe('turns', () => {
  it('a large delivery lets the event loop have its turn, and order is kept across it', async () => {
    const seen: unknown[] = []
    const harness = working(0.1, seen, { batch: { size: 10, timeoutMs: undefined } })
    harness.deliver(values(2_000))
    expect(seen.length).toBeLessThan(200)
    expect(harness.clock.yields).toBe(1)
    await harness.clock.settle()
    expect(seen).toEqual(Array.from({ length: 2_000 }, (_, offset) => `0/${offset}`))
    expect(harness.clock.yields).toBeGreaterThanOrEqual(20)
  })

  it('what arrives meanwhile waits behind what arrived before', async () => {
    const seen: unknown[] = []
    const harness = working(3, seen, { batch: { size: 1, timeoutMs: undefined } })
    harness.deliver(values(10))
    harness.deliver(values(10, 10))
    await harness.clock.settle()
    expect(seen).toEqual(Array.from({ length: 20 }, (_, offset) => `0/${offset}`))
  })

  it('a partition with a large backlog does not keep another waiting until it is through', async () => {
    const seen: unknown[] = []
    const harness = working(1, seen, { batch: { size: 1, timeoutMs: undefined } })
    harness.deliver(values(100), 0)
    harness.deliver(values(1), 1)
    await harness.clock.settle()
    expect(seen.indexOf('1/0')).toBeLessThan(30)
    expect(seen).toHaveLength(101)
  })

  it('actions that are promises and end at once let the event loop have its turn, too', async () => {
    const turns: number[] = []
    const harness: Harness = new Harness(
      subscription([
        route('r', [
          action(async () => {
            harness.clock.elapse(0.1)
            turns.push(harness.clock.yields)
          }),
        ]),
      ]),
    )
    harness.deliver(values(2_000))
    await harness.clock.settle()
    expect(turns).toHaveLength(2_000)
    const longest = Math.max(...turns.map(turn => turns.filter(each => each === turn).length))
    expect(longest).toBeLessThan(200)
  })

  it('a small delivery is worked on at once', () => {
    const seen: unknown[] = []
    const harness = working(0.001, seen)
    harness.deliver(values(50))
    expect(seen).toHaveLength(50)
  })

  it('a delivery is read only as far as messages can start, past those that wait for their key', async () => {
    const read: number[] = []
    const ends: Held[] = []
    const hold = action(() => {
      const end = held()
      ends.push(end)
      return end.promise
    })
    const harness = new Harness(subscription([route('r', [hold])], { concurrency: 2 }))
    const keys = ['a', 'a', 'a', 'b', 'b', 'c', 'd']
    const records = {
      length: keys.length,
      bytes: keys.length * 2,
      *[Symbol.iterator]() {
        for (const [offset, key] of keys.entries()) {
          read.push(offset)
          yield record({ offset, key, value: '1' })
        }
      },
    }
    harness.processor.records('orders', 0, records, keys.length, keys.length)
    // The first one that could not start has been looked at, and no further one.
    expect([ends.length, read]).toEqual([2, [0, 1, 2, 3, 4]])
    for (const [index, { resolve }] of ends.entries()) {
      resolve(null)
      await harness.clock.settle()
      // The next one of its key was waiting in its lane.
      if (index === 0) expect([ends.length, read]).toEqual([3, [0, 1, 2, 3, 4]])
    }
    expect([ends.length, read.length, harness.position()]).toEqual([7, 7, 7])
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('a delivery that an action causes waits for its turn', () => {
    const seen: unknown[] = []
    const harness: Harness = new Harness(
      subscription([
        route('r', [
          action(({ partition, offset }) => {
            seen.push(`starts ${partition}/${offset}`)
            if (partition === 0) harness.send('e', {}, null, 1)
            seen.push(`ends ${partition}/${offset}`)
          }),
        ]),
      ]),
      { partitions: [0, 1] },
    )
    harness.send('e', {}, null, 0)
    expect(seen).toEqual(['starts 0/0', 'ends 0/0', 'starts 1/0', 'ends 1/0'])
  })
})

describe('a new plan', () => {
  it('takes over between two messages: each sees exactly one version, all of its routes and actions', async () => {
    const script = fc.array(fc.constantFrom('send', 'end', 'swap', 'turn'), { maxLength: 80 })
    await fc.assert(
      fc.asyncProperty(script, async steps => {
        const seen = new Map<number, Set<number>>()
        const touched = new Map<number, number>()
        const open: Held[] = []
        const version = (number: number): SubscriptionPlan => {
          const note = (offset: number) => {
            seen.set(offset, (seen.get(offset) ?? new Set()).add(number))
            touched.set(offset, (touched.get(offset) ?? 0) + 1)
          }
          const waits = action(({ offset }) => {
            note(offset)
            const end = held()
            open.push(end)
            return end.promise
          })
          return subscription(
            [route('a', [waits, action(({ offset }) => note(offset))]), route('b', [action(({ offset }) => note(offset))])],
            {
              concurrency: 3,
            },
          )
        }
        let current = 1
        let sent = 0
        const harness = new Harness(version(1))
        for (const step of steps) {
          if (step === 'send') harness.send('e', {}, `k${sent++ % 4}`)
          else if (step === 'swap') harness.processor.swap(version(++current))
          else if (step === 'end') open.shift()?.resolve(null)
          else await harness.clock.settle()
        }
        // Settled first: what ended last may only now let a waiting message start.
        await harness.clock.settle()
        for (let end = open.shift(); end !== undefined; end = open.shift()) {
          end.resolve(null)
          await harness.clock.settle()
        }
        for (let offset = 0; offset < sent; offset++) {
          expect(seen.get(offset)?.size).toBe(1)
          expect(touched.get(offset)).toBe(3)
        }
        if (sent > 0) expect(harness.position()).toBe(sent)
      }),
      { numRuns: 80 },
    )
  })

  it('a message that waits for a retry keeps its plan', async () => {
    const ran: string[] = []
    const plan = (name: string) =>
      subscription([
        route('r', [
          action((_scope, { number }) => {
            ran.push(`${name} #${number}`)
            if (number === 1) throw new Error('busy')
          }),
        ]),
      ])
    const harness = new Harness(plan('old'))
    harness.send('e')
    harness.processor.swap(plan('new'))
    harness.send('e', {}, 'k')
    await harness.clock.runOut()
    expect(ran).toEqual(['old #1', 'new #1', 'old #2', 'new #2'])
  })

  it('says when the last message of the plans before it has ended, retries included', async () => {
    const ends: Held[] = []
    let tries = 0
    const plan = () =>
      subscription([
        route('r', [
          action(
            () => {
              if (++tries === 1) throw new Error('busy')
              const end = held()
              ends.push(end)
              return end.promise
            },
            { timeoutMs: 1e9 },
          ),
        ]),
      ])
    const harness = new Harness(plan())
    const over: string[] = []
    const swap = (name: string) => void harness.processor.swap(plan()).then(() => over.push(name))
    swap('nothing at work')
    harness.send('e', {}, 'a')
    swap('one at work')
    await harness.clock.advance(60_000)
    harness.send('e', {}, 'b')
    swap('two at work')
    harness.send('e', {}, 'c')
    await harness.clock.settle()
    expect([over, ends.length]).toEqual([['nothing at work'], 3])
    ends[1]?.resolve(null)
    await harness.clock.settle()
    expect(over).toEqual(['nothing at work'])
    ends[0]?.resolve(null)
    await harness.clock.settle()
    expect(over).toEqual(['nothing at work', 'one at work', 'two at work'])
  })

  it('with more places fills them at once', () => {
    const started: number[] = []
    const plan = (concurrency: number) =>
      subscription([route('r', [action(noting(started, ({ offset }) => offset, new Promise(() => {})))])], { concurrency })
    const harness = new Harness(plan(1))
    harness.deliver(values(5))
    expect(started).toEqual([0])
    harness.processor.swap(plan(4))
    expect(started).toEqual([0, 1, 2, 3])
  })

  it('with fewer places starts nothing until enough has ended', async () => {
    const ends: Held[] = []
    const plan = (concurrency: number) =>
      subscription(
        [
          route('r', [
            action(() => {
              const end = held()
              ends.push(end)
              return end.promise
            }),
          ]),
        ],
        { concurrency },
      )
    const harness = new Harness(plan(3))
    harness.deliver(values(6))
    harness.processor.swap(plan(1))
    ends[0]?.resolve(null)
    ends[1]?.resolve(null)
    await harness.clock.settle()
    expect(ends).toHaveLength(3)
    ends[2]?.resolve(null)
    await harness.clock.settle()
    expect(ends).toHaveLength(4)
  })

  it('with another window pauses and resumes at once', () => {
    const plan = (messages: number) =>
      subscription([route('r', [action(() => new Promise(() => {}))])], { window: { messages, bytes: 1e9 } })
    const harness = new Harness(plan(100))
    harness.deliver(values(10))
    expect(harness.flow).toEqual([])
    harness.processor.swap(plan(5))
    expect(harness.flow).toEqual(['pause orders/0'])
    harness.processor.swap(plan(100))
    expect(harness.flow).toEqual(['pause orders/0', 'resume orders/0'])
  })
})

describe('the window', () => {
  function filling(window: SubscriptionPlan['window'], partitions = [0, 1, 2, 3]) {
    const open = new Map<string, Held>()
    const hold = action(
      ({ partition, offset }) => {
        const end = held()
        open.set(`${partition}/${offset}`, end)
        return end.promise
      },
      { timeoutMs: 1e9 },
    )
    const harness = new Harness(subscription([route('r', [hold])], { window, concurrency: 1e6 }), { partitions })
    const end = async (partition: number, count: number) => {
      for (const [id, each] of [...open].filter(([id]) => id.startsWith(`${partition}/`)).slice(0, count)) {
        open.delete(id)
        each.resolve(null)
      }
      await harness.clock.settle()
    }
    return { harness, end, open }
  }

  it('full, it pauses only the partitions that hold their share or more', () => {
    const { harness } = filling({ messages: 100, bytes: 1e9 })
    harness.deliver(values(90), 0)
    harness.deliver(values(9), 1)
    expect(harness.flow).toEqual([])
    harness.deliver(values(1, 100), 1)
    expect(harness.flow).toEqual(['pause orders/0'])
    harness.deliver(values(25), 2)
    expect(harness.flow).toEqual(['pause orders/0', 'pause orders/2'])
  })

  it('resumes at the low mark, not at the first message that ends', async () => {
    const { harness, end } = filling({ messages: 100, bytes: 1e9 }, [0])
    harness.deliver(values(100), 0)
    expect(harness.flow).toEqual(['pause orders/0'])
    await end(0, 49)
    expect(harness.flow).toEqual(['pause orders/0'])
    await end(0, 1)
    expect(harness.flow).toEqual(['pause orders/0', 'resume orders/0'])
  })

  it('a partition that worked off its share resumes although another still fills the window', async () => {
    const { harness, end } = filling({ messages: 100, bytes: 1e9 }, [0, 1])
    harness.deliver(values(50), 1)
    harness.deliver(values(90), 0)
    harness.deliver(values(1, 50), 1)
    expect([...harness.paused].sort()).toEqual(['orders/0', 'orders/1'])
    await end(1, 26)
    expect([...harness.paused]).toEqual(['orders/0'])
  })

  it('counts bytes of keys, values and headers', () => {
    const { harness } = filling({ messages: 1e6, bytes: 1_000 }, [0])
    harness.deliverRecords([record({ offset: 0, key: 'k'.repeat(100), value: JSON.stringify('v'.repeat(98)) })])
    expect(harness.processor.held.bytes).toBe(200)
    harness.deliverRecords([
      record({ offset: 1, value: '1', headers: { h: Buffer.alloc(300), many: [Buffer.alloc(200), Buffer.alloc(299)] } }),
    ])
    expect(harness.processor.held.bytes).toBe(1_000)
    expect(harness.flow).toEqual(['pause orders/0'])
  })

  it('a delivery that waits for its turn counts', () => {
    const seen: unknown[] = []
    const harness = working(1, seen, { batch: { size: 1, timeoutMs: undefined }, window: { messages: 50, bytes: 1e9 } })
    harness.deliver(values(100))
    expect(harness.flow).toEqual(['pause orders/0'])
    expect(harness.processor.held.messages).toBe(100 - seen.length)
  })

  it('a delivery worked off in later turns lets its partition go on', async () => {
    const seen: unknown[] = []
    const harness = working(1, seen, { batch: { size: 1, timeoutMs: undefined }, window: { messages: 50, bytes: 1e9 } })
    harness.deliver(values(100))
    expect([...harness.paused]).toEqual(['orders/0'])
    await harness.clock.settle()
    expect(seen).toHaveLength(100)
    expect([...harness.paused]).toEqual([])
  })

  it('a partition that leaves lets the others go on', async () => {
    const { harness } = filling({ messages: 100, bytes: 1e9 }, [0, 1])
    harness.deliver(values(60), 0)
    harness.deliver(values(50), 1)
    expect([...harness.paused].sort()).toEqual(['orders/0', 'orders/1'])
    void harness.processor.revoked([{ topic: 'orders', partition: 0 }], true)
    await harness.clock.settle()
    expect(harness.flow.at(-1)).toBe('resume orders/1')
  })

  it('stays bounded while a broker delivers as long as it may, and everything ends', async () => {
    const script = fc.array(
      fc.record({
        partition: fc.nat({ max: 2 }),
        size: fc.integer({ min: 1, max: 20 }),
        ends: fc.nat({ max: 25 }),
        from: fc.nat({ max: 2 }),
      }),
      { maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(script, async steps => {
        const { harness, end, open } = filling({ messages: 60, bytes: 1e9 }, [0, 1, 2])
        let sent = 0
        for (const { partition, size, ends, from } of steps) {
          if (!harness.paused.has(`orders/${partition}`)) {
            harness.deliver(values(size, sent), partition)
            sent += size
          }
          await end(from, ends)
          // The window, and for each partition its share and one delivery on top.
          expect(harness.processor.held.messages).toBeLessThanOrEqual(60 + 60 + 3 * 20)
          expect(harness.processor.held.messages).toBe(open.size)
        }
        for (const partition of [0, 1, 2]) await end(partition, 1e6)
        expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
        expect([...harness.paused]).toEqual([])
        expect(harness.processor.counters.settled).toBe(sent)
      }),
      { numRuns: 80 },
    )
  })

  it('a paused partition that is revoked takes its pause with it', async () => {
    const { harness } = filling({ messages: 10, bytes: 1e9 }, [0, 1])
    harness.deliver(values(10), 0)
    expect(harness.flow).toEqual(['pause orders/0'])
    void harness.processor.revoked([{ topic: 'orders', partition: 0 }], true)
    await harness.clock.settle()
    harness.processor.assigned([{ topic: 'orders', partition: 0 }])
    expect([...harness.processor.assignments].map(({ id, paused }) => [id, paused])).toEqual([
      ['orders/1', false],
      ['orders/0', false],
    ])
    harness.deliver([{ value: envelope('e', 1) }], 1)
    expect(harness.flow).toEqual(['pause orders/0'])
  })
})

describe('what is counted', () => {
  it('received, settled and how long those took that waited', async () => {
    const end = held()
    const harness = new Harness(subscription([route('r', [action(({ data }) => (data === 1 ? end.promise : null))])]))
    harness.send('e', 1, 'a')
    harness.send('e', 2, 'b')
    expect(harness.processor.counters).toMatchObject({ received: 2, settled: 1 })
    await harness.clock.advance(7)
    end.resolve(null)
    await harness.clock.settle()
    const { counters } = harness.processor
    expect(counters.settled).toBe(2)
    expect(counters.durations.reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(counters.durations[3]).toBe(1)
    expect(counters.durationSumMs).toBe(7)
  })

  it.each([
    [1, 0],
    [1.1, 1],
    [5, 2],
    [60_000, 14],
    [60_001, 15],
  ])('%d ms in the bucket whose bound it does not exceed', async (ms, bucket) => {
    const end = held()
    const harness = new Harness(subscription([route('r', [action(() => end.promise, { timeoutMs: 1e9 })])]))
    harness.send('e')
    await harness.clock.advance(ms)
    end.resolve(null)
    await harness.clock.settle()
    expect(harness.processor.counters.durations.indexOf(1)).toBe(bucket)
  })

  it('lag, from the high watermark and the position', () => {
    const harness = new Harness(subscription([route('r', [action(() => null)])]))
    const [assignment] = harness.processor.assignments
    expect(assignment?.lag).toBe(0)
    harness.processor.records('orders', 0, [record({ offset: 4, value: '1' })], 5, 105)
    expect(assignment?.lag).toBe(100)
  })
})
