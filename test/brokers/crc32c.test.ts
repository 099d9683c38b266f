import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c } from '../../src/brokers/kafka/crc32c.ts'

/** Bit by bit, as RFC 3720 defines it. */
function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

test.each([
  ['32 bytes of zeros', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['32 bytes that count up', Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
  ['the usual check', Buffer.from('123456789'), 0xe3069283],
  ['nothing', Buffer.alloc(0), 0],
])('the checksum of %s is the one of RFC 3720', (_, bytes, checksum) => {
  expect(crc32c(bytes) >>> 0).toBe(checksum)
})

test('bytes of any length, wherever they begin, have the checksum that they have bit by bit', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 9 }), (content, skipped) => {
      const bytes = Buffer.concat([Buffer.alloc(skipped), content]).subarray(skipped)
      expect(crc32c(bytes) >>> 0).toBe(bitByBit(content))
    }),
  )
})
