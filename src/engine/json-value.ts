import { isUtf8 } from 'node:buffer'
import { DecodeFailure } from './decoded-event.ts'

/** As many levels as Jackson takes. JSON is written again by recursion, which ends somewhere above. */
const MAX_DEPTH = 1_000

/**
 * The value as JSON. Bytes that are not UTF-8 are refused (RFC 8259 asks for UTF-8): decoding would put U+FFFD in their place and pass on data that
 * nobody sent. They are looked for only where U+FFFD turns up, so that sound messages do not pay for it.
 */
export function parseJson(value: Buffer): unknown {
  // Without an argument: naming the encoding costs a look-up for each message.
  const text = value.toString()
  if (text.includes('\uFFFD') && !isUtf8(value)) return new DecodeFailure('not-json', 'the value is not JSON: its bytes are not UTF-8')
  if (text.length > 2 * MAX_DEPTH && isTooDeep(text))
    return new DecodeFailure('too-deep', `the value is nested in more than ${MAX_DEPTH} levels`)
  const { stackTraceLimit } = Error
  // Where it failed is told by its message. The stack would cost as much as ten sound messages.
  Error.stackTraceLimit = 0
  try {
    return JSON.parse(text)
  } catch (error) {
    return new DecodeFailure('not-json', error instanceof Error ? `the value is not JSON: ${error.message}` : 'the value is not JSON')
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Whether objects and lists lie in each other more than that deep. Most messages have not as many of them at all, which is known at once. */
function isTooDeep(text: string): boolean {
  if (!hasManyOpened(text)) return false
  let depth = 0
  let isText = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (isText) {
      if (char === BACKSLASH) at++
      else if (char === QUOTE) isText = false
    } else if (char === QUOTE) isText = true
    else if (char === OPEN_MAP || char === OPEN_LIST) {
      if (++depth > MAX_DEPTH) return true
    } else if (char === CLOSE_MAP || char === CLOSE_LIST) depth--
  }
  return false
}

function hasManyOpened(text: string): boolean {
  let count = 0
  for (const opening of ['{', '['])
    for (let at = text.indexOf(opening); at !== -1; at = text.indexOf(opening, at + 1)) if (++count > MAX_DEPTH) return true
  return false
}

const [QUOTE, BACKSLASH, OPEN_MAP, CLOSE_MAP, OPEN_LIST, CLOSE_LIST] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d]
