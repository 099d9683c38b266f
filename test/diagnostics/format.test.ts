import { describe, expect, test } from 'vitest'
import { codeFrame } from '../../src/diagnostics/code-frame.ts'
import { formatJson } from '../../src/diagnostics/format-json.ts'
import { formatPretty } from '../../src/diagnostics/format-pretty.ts'
import { hasErrors, type Problem } from '../../src/diagnostics/problem.ts'
import { sortProblems } from '../../src/diagnostics/sort-problems.ts'

const range = (line: number, from: number, to: number) => ({ start: { line, column: from }, end: { line, column: to } })
const problem: Problem = {
  code: 'schema-unknown-key',
  severity: 'error',
  message: '`b` is no key of a route',
  file: 'routes/a.yaml',
  range: range(2, 3, 4),
  hint: 'Did you mean `a`?',
}
const warning: Problem = { code: 'env-unset', severity: 'warning', message: 'unset', file: 'routes/b.yaml' }
const sources = new Map([['routes/a.yaml', 'a: 1\n  b: 2\n']])

describe('formatPretty', () => {
  test('shows place, message, code, line, hint, related places and a count', () => {
    const related = [{ message: 'it stands here first', file: 'routes/a.yaml', range: range(1, 1, 2) }]
    expect(formatPretty([{ ...problem, related }, warning], sources, { color: false })).toBe(
      [
        'routes/a.yaml:2:3: error: `b` is no key of a route [schema-unknown-key]',
        '   |',
        ' 2 |   b: 2',
        '   |   ^',
        '   = hint: Did you mean `a`?',
        '   = routes/a.yaml:1:1: it stands here first',
        '',
        'routes/b.yaml: warning: unset [env-unset]',
        '',
        '1 error and 1 warning in 2 files',
        '',
      ].join('\n'),
    )
  })

  test('has colours only when asked', () => {
    expect(formatPretty([problem], sources, { color: false })).not.toContain('\u001b')
    expect(formatPretty([problem], sources, { color: true })).toContain('\u001b[31m')
  })

  test('passes no control character of a file or a message on to the terminal', () => {
    const hostile = { ...problem, message: 'a\u001b[2Jb\u202ec', hint: '\u0007', file: 'routes/\u001b.yaml' }
    const printed = formatPretty([hostile], new Map([[hostile.file, 'x\n\u001b[31m b: \u0007\n']]), { color: false })
    expect(printed.replaceAll('\n', '')).toMatch(/^[^\p{Cc}\u202E]*$/u)
  })

  test('is empty without problems', () => {
    expect(formatPretty([], sources, { color: true })).toBe('')
  })
})

describe('codeFrame', () => {
  test.each([
    ['a tab before the range', '\tkey: v', range(1, 2, 5), '  key: v', 2, 3],
    ['wide characters before and in it', '注文: 値 x', range(1, 5, 6), '注文: 値 x', 6, 2],
    ['an emoji of several code points', '"👨‍👩‍👧": x', range(1, 13, 14), '"👨‍👩‍👧": x', 6, 1],
    ['a range at the end of the line', 'ab', range(1, 3, 3), 'ab', 2, 1],
    ['a range past the line', 'ab', range(1, 9, 12), 'ab', 2, 1],
  ])('%s', (_, text, place, code, indent, width) => {
    expect(codeFrame(text, place)).toEqual({ line: 1, code, indent, width })
  })

  test('underlines the first line of a range of several', () => {
    const place = { start: { line: 2, column: 3 }, end: { line: 4, column: 1 } }
    expect(codeFrame('a\n  bcd  \ne\nf', place)).toMatchObject({ line: 2, indent: 2, width: 3 })
  })

  test('clips a long line around the range', () => {
    const frame = codeFrame(`${'a'.repeat(500)}HERE${'b'.repeat(500)}`, range(1, 501, 505))
    expect(frame?.code).toMatch(/^…a{40}HEREb+…$/)
    expect(frame?.code.length).toBeLessThanOrEqual(122)
    expect(frame).toMatchObject({ indent: 41, width: 4 })
  })

  test('knows no line past the end', () => {
    expect(codeFrame('a\r\nb', range(3, 1, 2))).toBeUndefined()
    expect(codeFrame('a\r\nb', range(2, 1, 2))?.code).toBe('b')
  })
})

test('formatJson gives every problem the same keys', () => {
  expect(JSON.parse(formatJson([problem, warning]))).toEqual({
    problems: [
      {
        code: 'schema-unknown-key',
        severity: 'error',
        message: '`b` is no key of a route',
        file: 'routes/a.yaml',
        range: { start: { line: 2, column: 3 }, end: { line: 2, column: 4 } },
        hint: 'Did you mean `a`?',
      },
      { code: 'env-unset', severity: 'warning', message: 'unset', file: 'routes/b.yaml', range: null, hint: null },
    ],
  })
  expect(JSON.parse(formatJson([]))).toEqual({ problems: [] })
})

test('sorting is by file, line and column, whole files first', () => {
  const at = (file: string, line?: number, column = 1): Problem => ({
    ...warning,
    file,
    ...(line === undefined ? {} : { range: range(line, column, column) }),
  })
  const sorted = [at('a'), at('a', 1), at('a', 2, 1), at('a', 2, 9), at('a', 10), at('b', 1)]
  expect(sortProblems([...sorted].reverse())).toEqual(sorted)
})

test('only errors count as errors', () => {
  expect(hasErrors([warning])).toBe(false)
  expect(hasErrors([warning, problem])).toBe(true)
})
