import fc from 'fast-check'
import { CORE_SCHEMA, dump, load, mergeTag } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { openDocument } from '../../src/config/open-document.ts'

const schema = CORE_SCHEMA.withTags(mergeTag)

function open(text: string, env: Record<string, string> = {}) {
  return openDocument({ file: 'a.yaml', text, env, severityOfUnset: () => 'error' })
}

function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** What stands at a path, as text. */
function written(text: string, path: readonly (string | number)[]): string {
  const { start, end } = open(text).document.rangeOf(path)
  const lines = text.split('\n')
  if (start.line !== end.line) return 'more than a line'
  return lines[start.line - 1]?.slice(start.column - 1, end.column - 1) ?? ''
}

describe('values', () => {
  test('are those of the YAML library, whatever was dumped and however', () => {
    // Keys that are no text, and `<<`, differ on purpose: keys are the text as written.
    const key = fc.string().filter(name => name !== '<<' && !name.includes('${'))
    const { tree } = fc.letrec(tie => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.string().filter(text => !text.includes('${')),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter(number => !Object.is(number, -0)),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }))
    const style = fc.record({
      flowLevel: fc.integer({ min: -1, max: 3 }),
      forceQuotes: fc.boolean(),
      indent: fc.integer({ min: 2, max: 4 }),
    })
    fc.assert(
      fc.property(fc.dictionary(key, tree, { minKeys: 1, maxKeys: 4 }), style, (value, options) => {
        const text = dump(value, options)
        const { document, problems } = open(text)
        expect(problems).toEqual([])
        expect(plain(document.value)).toEqual(plain(load(text, { schema })))
      }),
    )
  })

  test.each([
    ['merge keys', 'a: &a { x: 1, y: 2 }\nb: { y: 3, <<: *a, z: 4 }\nc: { <<: [{ x: 5 }, *a] }'],
    ['anchors and aliases', 'a: &a [1, { b: &b two }]\nc: *a\nd: *b'],
    ['numbers', 'a: [0o17, 0x1F, 1e3, -1.5, .5, 007, +3, 1_000]'],
    ['words', 'a: [yes, no, on, off, True, FALSE, ~, Null, null, "null"]'],
    ['block texts', 'a: |\n  one\n   two\nb: >-\n  one\n  two\n\n  three\nc: "x\\\n  y"\n'],
    ['explicit keys and tags', '? a\n: !!str 12\n? b\n: !!float 1\n'],
    ['empty values', 'a:\nb: [~]\nc: {d, e: }\n'],
    ['comments in brackets', `a: [&a ${'# '.repeat(1_000)}\n, b, # c ]\n d ]\ne: { # f }\n g: h }`],
    ['JSON with tabs', '{\n\t"a": [1, "\\u00e9\\ud83d\\ude82"],\n\t"b": {"c": null}\n}'],
  ])('%s', (_, text) => {
    expect(plain(open(text).document.value)).toEqual(plain(load(text, { schema })))
  })

  test('a value that two paths share is one value', () => {
    const value = Object(open('a: &a { x: 1 }\nb: *a').document.value)
    expect(value.a).toBe(value.b)
  })
})

describe('places', () => {
  const text = [
    '# a comment',
    'plain: some text   # more',
    'double: "quoted"',
    "single: 'it''s'",
    'list:',
    '  - first',
    '  -',
    '  - { in: [ a, b ], out: c }',
    'empty:',
    'alias: &x { y: z }',
    'use: *x',
    'block:',
    '  key: v',
  ].join('\n')

  test.each([
    [['plain'], 'some text'],
    [['double'], '"quoted"'],
    [['single'], "'it''s'"],
    [['list', 0], 'first'],
    [['list', 1], '-'],
    [['list', 2], '{ in: [ a, b ], out: c }'],
    [['list', 2, 'in'], '[ a, b ]'],
    [['list', 2, 'in', 1], 'b'],
    [['empty'], 'empty'],
    [['use'], '*x'],
    [['use', 'y'], 'z'],
    [['block'], 'key: v'],
    [['block', 'key', 'deeper', 'than', 'there'], 'v'],
  ])('%j is %s', (path, expected) => {
    expect(written(text, path)).toBe(expected)
  })

  test('keys have their own', () => {
    expect(open(text).document.keyRangeOf(['list', 2, 'out'])).toEqual({ start: { line: 8, column: 21 }, end: { line: 8, column: 24 } })
  })

  test('are right with CRLF, and behind an emoji in UTF-16 units as editors count', () => {
    const { document } = open('a: 1\r\nb: "🚂"\r\nc: { "🚂": x }\r\n')
    expect(document.rangeOf(['c', '🚂'])).toEqual({ start: { line: 3, column: 12 }, end: { line: 3, column: 13 } })
  })

  test('inside a scalar count from its first character, quoted or not', () => {
    const { document } = open('a: "user.{{x}}"\nb: user.{{x}}\nc: "tab\\t{{x}}"\nd: ${E}.{{x}}', { E: 'environment' })
    expect(document.positionIn(['a'], 5)).toEqual({ line: 1, column: 10 })
    expect(document.positionIn(['b'], 5)).toEqual({ line: 2, column: 9 })
    // Escapes and environment values move what follows: the start is all that can be told.
    expect(document.positionIn(['c'], 5)).toEqual({ line: 3, column: 4 })
    expect(document.positionIn(['d'], 12)).toEqual({ line: 4, column: 4 })
  })

  test('every value and key that was dumped is found where it stands', () => {
    const word = fc.stringMatching(/^[a-z]{1,8}$/).filter(text => !['null', 'true', 'false'].includes(text))
    const map = fc.dictionary(
      word,
      fc.oneof(word, fc.array(word, { minLength: 1, maxLength: 3 }), fc.dictionary(word, word, { minKeys: 1, maxKeys: 3 })),
      {
        minKeys: 1,
        maxKeys: 5,
      },
    )
    fc.assert(
      fc.property(map, fc.integer({ min: -1, max: 2 }), fc.boolean(), (value, flowLevel, forceQuotes) => {
        const text = dump(value, { flowLevel, forceQuotes, lineWidth: -1 })
        const check = (path: (string | number)[], expected: string) => expect([expected, `'${expected}'`]).toContain(written(text, path))
        for (const [key, entry] of Object.entries(value)) {
          if (typeof entry === 'string') check([key], entry)
          else for (const [inner, leaf] of Object.entries(entry)) check([key, Array.isArray(entry) ? Number(inner) : inner], leaf)
        }
      }),
    )
  })
})
