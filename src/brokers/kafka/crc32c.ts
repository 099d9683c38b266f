const CASTAGNOLI = 0x82f63b78
const WIDTH = 8

/** `LEFT[n * 256 + byte]`: what a byte leaves behind with n more bytes after it. */
const LEFT = new Int32Array(WIDTH * 256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1
  LEFT[byte] = crc
}
for (let at = 256; at < LEFT.length; at++) {
  const before = LEFT[at - 256] ?? 0
  LEFT[at] = (before >>> 8) ^ (LEFT[before & 0xff] ?? 0)
}

/**
 * RFC 3720, appendix B.4, as a signed number: code that was compiled while it had seen small results only would be left for larger ones, again and again.
 * Eight bytes at a time, without calls: one after the other takes three times as long, and everything that is written goes through here.
 */
export function crc32c(bytes: Uint8Array): number {
  const whole = bytes.length - (bytes.length % WIDTH)
  let crc = -1
  let at = 0
  for (; at < whole; at += WIDTH) {
    crc ^= (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
    crc =
      (LEFT[1_792 + (crc & 0xff)] ?? 0) ^
      (LEFT[1_536 + ((crc >>> 8) & 0xff)] ?? 0) ^
      (LEFT[1_280 + ((crc >>> 16) & 0xff)] ?? 0) ^
      (LEFT[1_024 + (crc >>> 24)] ?? 0) ^
      (LEFT[768 + (bytes[at + 4] ?? 0)] ?? 0) ^
      (LEFT[512 + (bytes[at + 5] ?? 0)] ?? 0) ^
      (LEFT[256 + (bytes[at + 6] ?? 0)] ?? 0) ^
      (LEFT[bytes[at + 7] ?? 0] ?? 0)
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ (LEFT[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0)
  return ~crc
}
