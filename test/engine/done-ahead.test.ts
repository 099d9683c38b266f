import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { countDone, type DoneAhead, isDone, readDoneAhead, writeDoneAhead } from '../../src/engine/done-ahead.ts'

/** Kafka's default `offset.metadata.max.bytes`. */
const most = 4_096

const offset = fc.oneof(fc.nat({ max: 1_000 }), fc.integer({ min: 0, max: 2 ** 52 }))

/** `runs`: how many at least and at most; short ones mostly, as they are. */
function aheadOf(runs: fc.ArrayConstraints): fc.Arbitrary<DoneAhead> {
  const length = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 300 }) }, fc.integer({ min: 1, max: 2 ** 34 }))
  const run = fc.record({ open: length, done: length })
  return fc.record({ offset, first: fc.nat({ max: 200 }), all: fc.array(run, runs) }).map(({ offset, first, all }) => {
    let at = offset
    const bounds = all.flatMap(({ open, done }, index) => {
      const start = at + (index === 0 ? first : open)
      at = start + done
      return [start, at]
    })
    return { offset, bounds }
  })
}

describe('what is done ahead, as it is written beside an offset', () => {
  it('reads as it was written', () => {
    fc.assert(
      fc.property(aheadOf({ minLength: 1, maxLength: 200 }), ahead => {
        const written = writeDoneAhead(ahead)
        expect(written?.told).toEqual(ahead)
        expect(readDoneAhead(written?.metadata, ahead.offset)).toEqual(ahead)
      }),
    )
  })

  it('takes no more than Kafka does: what finds no room is forgotten, the highest first', () => {
    fc.assert(
      fc.property(aheadOf({ minLength: 1_700, maxLength: 2_500 }), ahead => {
        const { metadata = '', told } = writeDoneAhead(ahead) ?? {}
        expect(metadata.length).toBeLessThanOrEqual(most)
        expect(metadata.length).toBeGreaterThan(most - 200)
        expect(told?.bounds).toEqual(ahead.bounds.slice(0, told?.bounds.length))
        expect(readDoneAhead(metadata, ahead.offset)).toEqual(told)
      }),
      { numRuns: 30 },
    )
  })

  it('is nothing where nothing is done', () => {
    expect(writeDoneAhead({ offset: 7, bounds: [] })).toBeUndefined()
  })

  it('says nothing for another offset', () => {
    fc.assert(
      fc.property(aheadOf({ minLength: 1, maxLength: 20 }), offset, (ahead, other) => {
        fc.pre(other !== ahead.offset)
        expect(readDoneAhead(writeDoneAhead(ahead)?.metadata, other)).toBeUndefined()
      }),
    )
  })

  it('cut off anywhere, it is nothing or less, never something else', () => {
    fc.assert(
      fc.property(aheadOf({ minLength: 1, maxLength: 50 }), fc.nat(), (ahead, cut) => {
        const { metadata = '' } = writeDoneAhead(ahead) ?? {}
        const less = readDoneAhead(metadata.slice(0, cut % metadata.length), ahead.offset)
        if (less !== undefined) expect(less.bounds).toEqual(ahead.bounds.slice(0, less.bounds.length))
      }),
    )
  })

  it('of whatever others have written nothing is known, and nothing breaks', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('', 'signalbox', 'signalbox:1:', 'signalbox:1:0:', 'signalbox:2:0:AQE', 'signalbox:1:00:AQE', 'signalbox:1:0:AQE='),
      // Half a run; one without length; a gap without length; a length written longer than it need be; one that never ends; one too large.
      fc.constantFrom('AQ', 'AQA', 'AQEAAQ', 'AYEA', 'AYE', 'Af__________fw').map(text => `signalbox:1:0:${text}`),
    )
    fc.assert(
      fc.property(texts, text => {
        expect(readDoneAhead(text, 0)).toBeUndefined()
      }),
    )
    expect(readDoneAhead(undefined, 0)).toBeUndefined()
    expect(readDoneAhead('signalbox:1:0:AQE', 0)).toEqual({ offset: 0, bounds: [1, 2] })
  })

  it('any text that it takes is the one that it would write', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), offset, (bytes, at) => {
        const text = `signalbox:1:${at}:${Buffer.from(bytes).toString('base64url')}`
        const read = readDoneAhead(text, at)
        if (read !== undefined) expect(writeDoneAhead(read)?.metadata).toBe(text)
      }),
      { numRuns: 2_000 },
    )
  })

  it('knows of each offset whether it is done, and how many are', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 60 }), { maxLength: 40 }), fc.nat({ max: 60 }), fc.nat({ max: 60 }), (done, from, to) => {
        const bounds = Array.from({ length: 62 }, (_, each) => each).filter(each => done.includes(each) !== done.includes(each - 1))
        for (let each = 0; each < 62; each++) expect(isDone(bounds, each)).toBe(done.includes(each))
        expect(countDone(bounds, from, to)).toBe(done.filter(each => each >= from && each < to).length)
      }),
    )
  })
})
