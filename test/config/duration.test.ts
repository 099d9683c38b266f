import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, parseDuration } from '../../src/config/duration.ts'

test.each([
  ['100ms', 100],
  ['5s', 5_000],
  ['2m', 120_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['1.5s', 1_500],
  ['0ms', 0],
])('%s is %i ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds)
})

test.each(['', '5', 's', '-1s', '5 s', '5S', '1h30m', '1e3s', '.5s', '5sec', ' 5s', '5s\n', `${'9'.repeat(15)}d`])(
  '%j is no duration',
  text => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

test('any number of milliseconds comes back from its text', () => {
  fc.assert(fc.property(fc.nat({ max: 10_000_000_000 }), milliseconds => parseDuration(formatDuration(milliseconds)) === milliseconds))
})
