import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatSize, parseSize } from '../../src/config/size.ts'

test.each([
  ['512b', 512],
  ['64kb', 65_536],
  ['1mb', 1_048_576],
  ['0.5kb', 512],
  ['0b', 0],
])('%s is %i bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', '64', 'kb', '-1kb', '64 kb', '64KB', '64k', '1gb', '1e3b', `${'9'.repeat(15)}mb`])('%j is no size', text => {
  expect(parseSize(text)).toBeUndefined()
})

test('any number of bytes comes back from its text', () => {
  fc.assert(fc.property(fc.nat({ max: 10_000_000_000 }), bytes => parseSize(formatSize(bytes)) === bytes))
})
