import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isDone } from '../../src/engine/done-ahead.ts'
import { OffsetTracker } from '../../src/engine/offset-tracker.ts'

/** What the tracker promises, said in the slowest way: all offsets are kept and looked through. */
class NaiveTracker {
  readonly open = new Set<number>()
  next = -1

  get position(): number {
    return this.open.size > 0 ? Math.min(...this.open) : this.next
  }
}

const step = fc.oneof(
  // A message: `gap` offsets are missing before it (compaction, control records); it settles at once or stays open.
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('message' as const), gap: fc.nat({ max: 3 }), open: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('gap' as const), size: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('settle' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
)

describe('the position of a partition', () => {
  it('equals the lowest open offset, or where delivery stands, whatever settles when', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 ** 40 }),
        fc.array(step, { maxLength: 400 }),
        fc.constantFrom(2, undefined),
        (start, steps, mostEarly) => {
          const tracker = new OffsetTracker(undefined, mostEarly)
          const naive = new NaiveTracker()
          const settled: number[] = []
          let missing = 0
          let at = start
          let committed = -1
          let highest = -1
          for (const each of steps) {
            switch (each.kind) {
              case 'message':
                at += each.gap
                missing += each.gap
                if (each.open) {
                  tracker.open(at)
                  naive.open.add(at)
                } else settled.push(at)
                at++
                tracker.delivered(at)
                naive.next = at
                break
              case 'gap':
                at += each.size
                missing += each.size
                tracker.delivered(at)
                naive.next = at
                break
              case 'settle': {
                const chosen = [...naive.open][each.pick % Math.max(1, naive.open.size)]
                if (chosen === undefined) break
                naive.open.delete(chosen)
                settled.push(chosen)
                tracker.settle(chosen)
                break
              }
              case 'commit': {
                const due = tracker.unsavedPosition
                expect(due).toBe(naive.position > committed ? naive.position : undefined)
                if (due === undefined) break
                tracker.markSaved({ offset: due, bounds: [] })
                committed = due
                expect(tracker.unsavedPosition).toBeUndefined()
                break
              }
            }
            expect(tracker.position).toBe(naive.position)
            expect(tracker.position).toBeGreaterThanOrEqual(highest)
            expect(tracker.openCount).toBe(naive.open.size)
            const { offset, bounds } = tracker.ahead
            expect(offset).toBe(naive.position)
            if (at > start)
              for (let each = naive.position; each < at + 2; each++) expect(isDone(bounds, each)).toBe(each < at && !naive.open.has(each))
            // Offsets without messages may count as well.
            const unsaved = settled.filter(offset => offset >= committed).length
            expect(tracker.unsaved).toBeGreaterThanOrEqual(unsaved)
            expect(tracker.unsaved).toBeLessThanOrEqual(unsaved + missing)
            highest = tracker.position
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('stays exact over many thousand messages that settle in reverse', () => {
    const tracker = new OffsetTracker()
    for (let offset = 0; offset < 50_000; offset++) {
      tracker.open(offset)
      tracker.delivered(offset + 1)
    }
    for (let offset = 49_999; offset > 0; offset--) tracker.settle(offset)
    expect(tracker.position).toBe(0)
    tracker.settle(0)
    expect(tracker.position).toBe(50_000)
    expect(tracker.openCount).toBe(0)
  })

  it('keeps its place while what settled long ago is forgotten', () => {
    const tracker = new OffsetTracker()
    for (let offset = 0; offset < 10_000; offset++) {
      tracker.open(offset)
      tracker.delivered(offset + 1)
      if (offset >= 5) tracker.settle(offset - 5)
    }
    expect(tracker.position).toBe(9_995)
    expect(tracker.openCount).toBe(5)
  })

  it('is unknown before the first delivery and then has nothing to commit', () => {
    const tracker = new OffsetTracker()
    expect(tracker.position).toBe(-1)
    expect(tracker.unsavedPosition).toBeUndefined()
  })

  it('a late acknowledgement of an older commit does not bring the newer one back', () => {
    const tracker = new OffsetTracker()
    tracker.delivered(10)
    tracker.markSaved({ offset: 10, bounds: [] })
    tracker.markSaved({ offset: 4, bounds: [] })
    expect(tracker.unsavedPosition).toBeUndefined()
  })
})
