import type { Position } from '../diagnostics/problem.ts'

/** Where a text stops being JSON, and what could have stood there. */
export interface JsonFault {
  readonly offset: number
  readonly expected: string
}

type Expecting = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'comma-or-end'

const space = /[ \t\r\n]*/y
const scalar =
  /(?:"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/uy

/** The first fault of a text that JSON.parse refuses (whose own messages often leave the place out). RFC 8259. */
export function findJsonFault(text: string): JsonFault {
  const open: ('{' | '[')[] = []
  let expecting: Expecting | undefined = 'value'
  let offset = skip(space, text, 0)
  while (expecting !== undefined) {
    const next = step(text, offset, expecting, open)
    // What is missing at the end is missing after the last word, not after the line break that follows it.
    if ('expected' in next) return { ...next, offset: Math.min(next.offset, text.trimEnd().length) }
    offset = skip(space, text, next.offset)
    expecting = next.expecting
  }
  return { offset, expected: 'the end' }
}

type Step = JsonFault | { readonly offset: number; readonly expecting: Expecting | undefined }

function step(text: string, offset: number, expecting: Expecting, open: ('{' | '[')[]): Step {
  const character = text[offset]
  const within = open.at(-1)
  if (isEnd(character, within) && expecting.endsWith('-or-end')) {
    open.pop()
    return { offset: offset + 1, expecting: afterValue(open) }
  }
  switch (expecting) {
    case 'colon':
      return character === ':' ? { offset: offset + 1, expecting: 'value' } : { offset, expected: '":"' }
    case 'comma-or-end':
      if (character === ',') return { offset: offset + 1, expecting: within === '{' ? 'key' : 'value' }
      return { offset, expected: within === '{' ? '"," or "}"' : '"," or "]"' }
    case 'key':
    case 'key-or-end': {
      const end = character === '"' ? skip(scalar, text, offset) : offset
      return end === offset ? { offset, expected: 'a key in double quotes' } : { offset: end, expecting: 'colon' }
    }
    case 'value':
    case 'value-or-end': {
      if (character === '{' || character === '[') {
        open.push(character)
        return { offset: offset + 1, expecting: character === '{' ? 'key-or-end' : 'value-or-end' }
      }
      const end = skip(scalar, text, offset)
      return end === offset ? { offset, expected: expectedValue(character) } : { offset: end, expecting: afterValue(open) }
    }
  }
}

function expectedValue(character: string | undefined): string {
  if (character === '"') return 'a string that ends, without line breaks and unknown escapes'
  return character === "'" ? 'double quotes' : 'a value'
}

function isEnd(character: string | undefined, within: '{' | '[' | undefined): boolean {
  return (character === '}' && within === '{') || (character === ']' && within === '[')
}

function afterValue(open: readonly string[]): Expecting | undefined {
  return open.length === 0 ? undefined : 'comma-or-end'
}

/** The offset after what the pattern matches here. */
function skip(pattern: RegExp, text: string, offset: number): number {
  pattern.lastIndex = offset
  return pattern.test(text) ? pattern.lastIndex : offset
}

/** The line of a fault with a mark under it. */
export function showJsonFault(text: string, { offset }: JsonFault): Position & { readonly frame: string } {
  const before = text.slice(0, offset).split('\n')
  const lineStart = before.at(-1) ?? ''
  const rest = text.slice(offset).split('\n')[0] ?? ''
  const from = Math.max(0, lineStart.length - 60)
  const shown = `${lineStart.slice(from)}${rest.slice(0, 40)}`.replaceAll(/\p{Cc}/gu, ' ')
  return { line: before.length, column: lineStart.length + 1, frame: `${shown}\n${' '.repeat(lineStart.length - from)}^` }
}
