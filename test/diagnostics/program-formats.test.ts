import { expect, test } from 'vitest'
import { formatGithub } from '../../src/diagnostics/format-github.ts'
import { formatSarif } from '../../src/diagnostics/format-sarif.ts'
import type { Problem } from '../../src/diagnostics/problem.ts'

const range = { start: { line: 2, column: 3 }, end: { line: 2, column: 9 } }
const problem: Problem = {
  code: 'schema-unknown-key',
  severity: 'error',
  message: '100% wrong: a,\r\nb',
  file: 'routes/a,b:c.yaml',
  range,
  hint: 'Did you mean `a`?',
}
const long: Problem = { ...problem, code: 'yaml-syntax', severity: 'warning', range: { ...range, end: { line: 4, column: 1 } } }
const whole: Problem = { code: 'file-empty', severity: 'error', message: 'empty', file: 'routes/ü b.yaml' }

test('github escapes what would end a property or the command', () => {
  expect(formatGithub([problem], 'sub/')).toBe(
    '::error file=sub/routes/a%2Cb%3Ac.yaml,line=2,endLine=2,col=3,endColumn=9,title=schema-unknown-key::100%25 wrong: a,%0D%0Ab%0Ahint: Did you mean `a`?\n',
  )
})

test('github gets columns only for a range on one line, and no line for a whole file', () => {
  expect(formatGithub([long, whole])).toBe(
    '::warning file=routes/a%2Cb%3Ac.yaml,line=2,endLine=4,title=yaml-syntax::100%25 wrong: a,%0D%0Ab%0Ahint: Did you mean `a`?\n' +
      '::error file=routes/ü b.yaml,title=file-empty::empty\n',
  )
  expect(formatGithub([])).toBe('')
})

test('sarif has a rule for each code, and a place in every result', () => {
  const { version, runs } = JSON.parse(formatSarif([problem, whole, problem], '1.2.3', 'sub/'))
  expect(version).toBe('2.1.0')
  const [{ tool, results, columnKind }] = runs
  expect(columnKind).toBe('utf16CodeUnits')
  expect(tool.driver).toMatchObject({ name: 'signalbox', version: '1.2.3' })
  expect(tool.driver.rules.map(({ id }: { id: string }) => id)).toEqual(['file-empty', 'schema-unknown-key'])
  expect(results[0]).toMatchObject({
    ruleId: 'schema-unknown-key',
    ruleIndex: 1,
    level: 'error',
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: 'sub/routes/a,b:c.yaml' },
          region: { startLine: 2, startColumn: 3, endLine: 2, endColumn: 9 },
        },
      },
    ],
  })
  expect(results[1].locations[0].physicalLocation).toEqual({
    artifactLocation: { uri: 'sub/routes/%C3%BC%20b.yaml' },
    region: { startLine: 1 },
  })
})

test('sarif points at the other places of a problem', () => {
  const related = [{ message: 'the other file', file: 'routes/b.yaml', range }]
  const [run] = JSON.parse(formatSarif([{ ...problem, related }], '1.0.0')).runs
  expect(run.results[0].relatedLocations).toMatchObject([
    { message: { text: 'the other file' }, physicalLocation: { artifactLocation: { uri: 'routes/b.yaml' } } },
  ])
})
