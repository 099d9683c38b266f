import type { Problem } from '../diagnostics/problem.ts'
import { lineIndex } from './line-index.ts'

/** The bytes of a configuration file as text without its byte order mark, or the problem that says why they are none. */
export function decodeText(file: string, bytes: Uint8Array): { readonly text: string } | { readonly problem: Problem } {
  const wide = wideEncoding(bytes)
  if (wide !== undefined) {
    return { problem: encodingProblem(file, `The file is ${wide} text`, 'Save it as UTF-8') }
  }
  // A decoder without `ignoreBOM` drops a UTF-8 byte order mark: columns then count as editors count them.
  const text = new TextDecoder('utf-8').decode(bytes)
  const invalid = invalidUtf8Offset(bytes, text)
  if (invalid !== undefined) return { problem: located(file, text, invalid, 'The file is not valid UTF-8', 'Save it as UTF-8') }
  const nul = text.indexOf('\0')
  if (nul !== -1)
    return { problem: located(file, text, nul, 'The file holds a NUL character', 'Remove it: configuration files are plain text') }
  return { text }
}

function wideEncoding(bytes: Uint8Array): string | undefined {
  const [first, second, third, fourth] = bytes
  if (first === 0xff && second === 0xfe) return third === 0 && fourth === 0 && bytes.length > 4 ? 'UTF-32' : 'UTF-16'
  if (first === 0xfe && second === 0xff) return 'UTF-16'
  // Without a byte order mark: every second byte of ASCII text is zero.
  if (first !== 0 && second === 0 && third !== 0 && fourth === 0 && bytes.length >= 4) return 'UTF-16'
  if (first === 0 && second !== 0 && third === 0 && fourth !== 0 && bytes.length >= 4) return 'UTF-16'
  return undefined
}

/** Where decoding put a replacement character that the bytes do not hold themselves. */
function invalidUtf8Offset(bytes: Uint8Array, text: string): number | undefined {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return undefined
  } catch {
    const withMark = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    const encoded = new TextEncoder().encode(withMark)
    let same = 0
    while (same < bytes.length && bytes[same] === encoded[same]) same += 1
    return Math.min(new TextDecoder('utf-8').decode(bytes.subarray(0, same)).replace(/\uFFFD$/, '').length, text.length)
  }
}

function located(file: string, text: string, offset: number, message: string, hint: string): Problem {
  return { ...encodingProblem(file, message, hint), range: lineIndex(text).rangeOf(offset, offset + 1) }
}

function encodingProblem(file: string, message: string, hint: string): Problem {
  return { code: 'file-encoding', severity: 'error', message, file, hint }
}
