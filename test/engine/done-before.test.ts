import { describe, expect, it } from 'vitest'
import { readDoneAhead, writeDoneAhead } from '../../src/engine/done-ahead.ts'
import { type Commit, Harness, type HarnessOptions } from './harness.ts'
import { action, envelope, record, route, steadyRetry, subscription } from './plan-builders.ts'

/** Messages whose data is `waits` fail at first, and come to their next try after minutes. */
function running(options: HarnessOptions & { readonly works?: boolean; readonly role?: 'fanout' } = {}) {
  const { works = false, role = 'work', ...rest } = options
  const done: unknown[] = []
  const run = action(
    ({ data }) => {
      if (data === 'waits' && !works) throw new Error('not yet')
      done.push(data)
    },
    { retry: { ...steadyRetry, backoff: 'fixed', delayMs: 600_000, maxDelayMs: 600_000 } },
  )
  const harness = new Harness(subscription([route('r', [run])], { role }), rest)
  return { harness, done }
}

/** Each message has a key of its own. */
const messages = (data: readonly unknown[], from = 0) =>
  data.map((each, index) => record({ offset: from + index, key: `k${from + index}`, value: envelope('e', each) }))

const partition = { topic: 'orders', partition: 0 }

/** A router that comes after the one which committed this. */
function after(commit: Commit | undefined, options: Parameters<typeof running>[0] = {}) {
  const next = running({ partitions: [], works: true, ...options })
  next.harness.processor.assigned([commit ?? partition])
  return next
}

/** Its last commit, after a stop while the message at 1 waits. */
async function stoppedWhile(data: readonly unknown[]): Promise<Commit | undefined> {
  const { harness } = running()
  harness.deliverRecords(messages(data))
  await harness.clock.settle()
  await harness.processor.drain(1_000)
  return harness.commits.flat().at(-1)
}

describe('a partition that comes with what was done above its committed offset', () => {
  it('runs only what was not done, and commits all of it', async () => {
    const data = ['a', 'waits', 'b', 'c', 'waits', 'd']
    const commit = await stoppedWhile(data)
    expect(commit?.offset).toBe(1)
    const { harness, done } = after(commit)
    harness.deliverRecords(messages([...data.slice(1), 'new'], 1))
    await harness.clock.advance(1_000)
    expect(done).toEqual(['waits', 'waits', 'new'])
    expect(harness.processor.counters).toMatchObject({ received: 6, settled: 6, doneBefore: 3 })
    expect(harness.committed()).toBe(7)
    expect(harness.commits.flat().at(-1)?.metadata).toBeUndefined()
    expect(harness.processor.held).toMatchObject({ messages: 0, bytes: 0 })
  })

  it('keeps what it knows over a stop before it has been delivered again', async () => {
    const data = ['a', 'waits', 'b', 'waits', 'c', 'd', 'e']
    const commit = await stoppedWhile(data)
    const { harness } = after(commit, { works: true })
    // The first of them alone is done, and the stop comes.
    harness.processor.records('orders', 0, messages(['waits'], 1), 2, 7)
    await harness.clock.settle()
    expect(await harness.processor.drain(1_000)).toEqual({ finished: true, released: 0, repeated: 0 })
    const last = harness.commits.flat().at(-1)
    expect(last?.offset).toBe(2)
    const third = after(last)
    third.harness.deliverRecords(messages(data.slice(2), 2))
    await third.harness.clock.settle()
    expect(third.done).toEqual(['waits'])
    expect(third.harness.position()).toBe(7)
  })

  it('makes no commit where a stop finds everything as it was', async () => {
    const commit = await stoppedWhile(['a', 'waits', 'b'])
    const { harness } = after(commit, { works: false })
    harness.deliverRecords(messages(['waits', 'b'], 1))
    await harness.clock.advance(5_000)
    expect(await harness.processor.drain(1_000)).toEqual({ finished: true, released: 1, repeated: 0 })
    expect(harness.commits).toEqual([])
  })

  it('takes nothing out of a limit for what it passes over', async () => {
    const commit = await stoppedWhile(['a', 'waits', 'b', 'c'])
    const { harness, done } = after(commit, { maxMessages: 2 })
    harness.deliverRecords(messages(['waits', 'b', 'c', 'new', 'too many'], 1))
    await harness.clock.settle()
    expect(done).toEqual(['waits', 'new'])
  })

  it.each([
    ['a commit of somebody else', { ...partition, offset: 1, metadata: 'theirs' }],
    ['offsets that were set', { ...partition, offset: 1 }],
    ['what was done above another offset', { ...partition, offset: 1, metadata: writeDoneAhead({ offset: 0, bounds: [2, 4] })?.metadata }],
  ])('runs everything after %s', async (_what, commit) => {
    const { harness, done } = after(commit)
    harness.deliverRecords(messages(['a', 'b', 'c'], 1))
    await harness.clock.settle()
    expect(done).toEqual(['a', 'b', 'c'])
  })

  it('runs everything where its topic ends below: it was made anew, and the offsets are those of others', async () => {
    const commit = await stoppedWhile(['a', 'waits', 'b', 'c', 'd'])
    const { harness, done } = after(commit)
    harness.deliverRecords(messages(['other', 'others', 'still others']))
    await harness.clock.advance(1_000)
    expect(done).toEqual(['other', 'others', 'still others'])
    expect(harness.committed()).toBe(3)
  })
})

describe('what is done above a message that waits', () => {
  it('is told at most once a second while the position stands still, and no more often than it grows', async () => {
    const { harness } = running()
    harness.send('e', 'waits', 'slow')
    for (let tenth = 0; tenth < 600; tenth++) {
      harness.send('e', tenth, `k${tenth}`)
      await harness.clock.advance(100)
    }
    expect(harness.commits.length).toBeGreaterThan(20)
    // And one of the position itself.
    expect(harness.commits.length).toBeLessThanOrEqual(62)
    const last = harness.commits.flat().at(-1)
    expect(last?.offset).toBe(0)
    expect(readDoneAhead(last?.metadata, 0)?.bounds.at(-1)).toBeGreaterThan(580)
    const before = harness.commits.length
    await harness.clock.advance(60_000)
    expect(harness.commits.length).toBeLessThanOrEqual(before + 1)
  })

  it('is told though nothing follows', async () => {
    const { harness } = running()
    harness.send('e', 'waits', 'slow')
    await harness.clock.advance(600)
    // The second time comes within a second of what the first was told with.
    for (const waitMs of [600, 2_000]) {
      for (let index = 0; index < 20; index++) harness.send('e', index, `k${index}`)
      await harness.clock.advance(waitMs)
    }
    expect(readDoneAhead(harness.commits.flat().at(-1)?.metadata, 0)?.bounds).toEqual([1, 41])
  })

  it('counts as repeated where it finds no room beside the offset', async () => {
    const { harness } = running({ partitions: [] })
    harness.processor.assigned([{ ...partition, offset: 0 }])
    harness.deliverRecords(messages(Array.from({ length: 8_000 }, (_, index) => (index % 2 === 0 ? 'waits' : 'done'))))
    await harness.clock.settle()
    const { repeated } = await harness.processor.drain(1_000)
    const told = readDoneAhead(harness.commits.flat().at(-1)?.metadata, 0)?.bounds.length ?? 0
    expect(told).toBeGreaterThan(2_000)
    expect(repeated).toBe(4_000 - told / 2)
  })

  it('is left out for a broker that does not take it, and offsets are committed all the same', async () => {
    const refusal = Object.assign(new Error('too large'), { code: 'metadata-too-large' })
    const { harness } = running({
      commit: offsets => (offsets.some(({ metadata }) => metadata !== undefined) ? Promise.reject(refusal) : Promise.resolve()),
    })
    harness.deliverRecords(messages(['a', 'waits', 'b']))
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(1)
    expect(harness.logged('warn')).toEqual([expect.stringMatching(/keeps no list/)])
    expect(await harness.processor.drain(1_000)).toEqual({ finished: true, released: 1, repeated: 1 })
    expect(harness.processor.counters.commitFailures).toBe(0)
  })

  it('is told nobody by a process that reads for itself alone', async () => {
    const { harness } = running({ role: 'fanout' })
    harness.deliverRecords(messages(['a', 'waits', 'b']))
    await harness.clock.advance(5_000)
    expect(await harness.processor.drain(1_000)).toEqual({ finished: true, released: 1, repeated: 1 })
    expect(harness.commits).toEqual([[{ ...partition, offset: 1 }]])
  })
})
