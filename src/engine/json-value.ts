import { isUtf8 } from 'node:buffer'
import { DecodeFailure } from './decoded-event.ts'

/**
 * The value as JSON. Bytes that are not UTF-8 are refused (RFC 8259 asks for UTF-8): decoding would put U+FFFD in their place and pass on data that
 * nobody sent. They are looked for only where U+FFFD turns up, so that sound messages do not pay for it.
 */
export function parseJson(value: Buffer): unknown {
  // Without an argument: naming the encoding costs a look-up for each message.
  const text = value.toString()
  if (text.includes('\uFFFD') && !isUtf8(value)) return new DecodeFailure('not-json', 'the value is not JSON: its bytes are not UTF-8')
  try {
    return JSON.parse(text)
  } catch (error) {
    return new DecodeFailure('not-json', error instanceof Error ? `the value is not JSON: ${error.message}` : 'the value is not JSON')
  }
}
