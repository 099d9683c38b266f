import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Commit, Harness, type Held, held } from './harness.ts'
import { action, record, route, steadyRetry, subscription } from './plan-builders.ts'

const done = subscription([route('r', [action(() => null)])])

describe('commits', () => {
  it('come within a second, for moved partitions only, and not while nothing moves', async () => {
    const harness = new Harness(done, { partitions: [0, 1, 2] })
    harness.send('e', {}, null, 0)
    harness.send('e', {}, null, 2)
    await harness.clock.advance(1_000)
    expect(harness.commits).toEqual([
      [
        { topic: 'orders', partition: 0, offset: 1 },
        { topic: 'orders', partition: 2, offset: 1 },
      ],
    ])
    await harness.clock.advance(60_000)
    expect(harness.commits).toHaveLength(1)
    harness.send('e', {}, null, 2)
    await harness.clock.advance(1_000)
    expect(harness.commits.slice(1)).toEqual([[{ topic: 'orders', partition: 2, offset: 2 }]])
    expect(harness.processor.counters.commits).toBe(2)
  })

  it('a gap without records moves the offset', async () => {
    const harness = new Harness(done)
    harness.deliverRecords([record({ offset: 3, value: '1' })], 0, 9)
    harness.deliverRecords([], 0, 20)
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(20)
  })

  it('a long run of messages is committed on the way, not only at its end', async () => {
    const harness = new Harness(done)
    for (let second = 0; second < 10; second++) {
      harness.send('e')
      await harness.clock.advance(1_000)
      expect(harness.committed()).toBe(second + 1)
    }
  })

  it('are one request at a time, and those that come due meanwhile do not pile up', async () => {
    const requests: { readonly offsets: readonly Commit[]; readonly end: Held<void> }[] = []
    let open = 0
    let most = 0
    const harness = new Harness(done, {
      commit: offsets => {
        const end = held<void>()
        requests.push({ offsets, end })
        most = Math.max(most, ++open)
        return end.promise.finally(() => open--)
      },
    })
    for (let second = 0; second < 30; second++) {
      harness.send('e')
      await harness.clock.advance(1_000)
    }
    expect(requests).toHaveLength(1)
    requests[0]?.end.resolve()
    await harness.clock.advance(1_000)
    expect(requests.map(({ offsets }) => offsets[0]?.offset)).toEqual([1, 30])
    requests[1]?.end.resolve()
    await harness.clock.advance(60_000)
    expect(requests).toHaveLength(2)
    expect(most).toBe(1)
  })

  it('a slow broker gets no more requests at the end than the last one', async () => {
    let requests = 0
    const harness: Harness = new Harness(done, {
      commit: () => {
        requests++
        return new Promise(resolve => harness.clock.schedule(3_000, resolve))
      },
    })
    for (let second = 0; second < 60; second++) {
      harness.send('e')
      await harness.clock.advance(1_000)
    }
    const before = requests
    void harness.processor.drain(1_000)
    await harness.clock.advance(60_000)
    expect(requests - before).toBe(1)
    expect(harness.committed()).toBe(60)
  })

  it('to a slow broker do not queue up: a partition that leaves waits for one, however long another was busy', async () => {
    const harness: Harness = new Harness(done, {
      partitions: [0, 1],
      commit: () => new Promise(resolve => harness.clock.schedule(1_500, resolve)),
    })
    for (let step = 0; step < 400; step++) {
      harness.send('e', {}, null, 1)
      await harness.clock.advance(250)
    }
    harness.send('e', {}, null, 0)
    let left = false
    void harness.processor.revoked([{ topic: 'orders', partition: 0 }], false).then(() => {
      left = true
    })
    // One request under way and the partition's own: 3 s.
    for (let step = 0; step < 13; step++) {
      harness.send('e', {}, null, 1)
      await harness.clock.advance(250)
    }
    expect(left).toBe(true)
    expect(harness.committed(0)).toBe(1)
  })

  it('one that failed is made again, with what moved since', async () => {
    let broken = true
    const harness = new Harness(done, { commit: () => (broken ? Promise.reject(new Error('coordinator moved')) : Promise.resolve()) })
    harness.send('e')
    await harness.clock.advance(2_000)
    expect(harness.commits).toEqual([])
    expect(harness.processor.counters.commitFailures).toBeGreaterThanOrEqual(2)
    expect(harness.logged('warn')[0]).toMatch(/could not be committed/)
    harness.send('e')
    broken = false
    await harness.clock.advance(1_000)
    expect(harness.committed()).toBe(2)
    await harness.clock.advance(60_000)
    expect(harness.commits).toHaveLength(1)
  })

  it('never pass an open message, never go back and never say the same again, whatever settles when and whichever request fails', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant('send' as const), count: fc.integer({ min: 1, max: 8 }), partition: fc.nat({ max: 1 }) }),
        fc.record({ kind: fc.constant('end' as const), pick: fc.nat() }),
        fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 900 }), commitWorks: fc.boolean() }),
      ),
      { maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async script => {
        const open = new Map<string, Held>()
        const sent = [0, 0]
        let works = true
        const plan = subscription(
          [
            route('r', [
              action(
                ({ partition, offset }) => {
                  const end = held()
                  open.set(`${partition}/${offset}`, end)
                  return end.promise
                },
                { timeoutMs: 1e9, retry: steadyRetry },
              ),
            ]),
          ],
          { ordering: 'none', concurrency: 1_000 },
        )
        const harness = new Harness(plan, {
          partitions: [0, 1],
          commit: () => (works ? Promise.resolve() : Promise.reject(new Error('no'))),
        })
        for (const step of script) {
          if (step.kind === 'send')
            for (let sending = 0; sending < step.count; sending++) {
              harness.send('e', 1, null, step.partition)
              sent[step.partition] = (sent[step.partition] ?? 0) + 1
            }
          else if (step.kind === 'end') {
            const chosen = [...open.keys()][step.pick % Math.max(1, open.size)]
            if (chosen === undefined) continue
            open.get(chosen)?.resolve(null)
            open.delete(chosen)
          } else {
            works = step.commitWorks
            await harness.clock.advance(step.ms)
          }
          const lowest = (partition: number) =>
            Math.min(sent[partition] ?? 0, ...[...open.keys()].filter(id => id.startsWith(`${partition}/`)).map(id => Number(id.slice(2))))
          for (const partition of [0, 1]) expect(harness.committed(partition) ?? 0).toBeLessThanOrEqual(lowest(partition))
        }
        works = true
        for (const end of open.values()) end.resolve(null)
        await harness.clock.advance(2_000)
        for (const partition of [0, 1]) {
          const all = harness.commits.flat().filter(commit => commit.partition === partition)
          const offsets = all.map(({ offset }) => offset)
          expect(offsets).toEqual(offsets.toSorted((one, other) => one - other))
          // The same one again only where more is done above it.
          expect(new Set(all.map(({ offset, metadata }) => `${offset} ${metadata}`)).size).toBe(all.length)
          if ((sent[partition] ?? 0) > 0) expect(offsets.at(-1)).toBe(sent[partition])
        }
      }),
      { numRuns: 60 },
    )
  })
})
