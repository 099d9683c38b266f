import { describe, expect, test } from 'vitest'
import { readDocument } from '../../src/config/read-document.ts'

/** As large as a file may be, and no larger. */
const megabyte = 1_048_576

function problemsOf(text: string) {
  return readDocument({ file: 'routes/a.yaml', text: text.slice(0, megabyte), schema: 'routes', env: {}, mode: 'run' }).problems
}

const levels = 'abcdefghijklmnop'
const aliasBomb = [
  'x-a: &a [x, x, x, x, x, x, x, x, x]',
  ...[...levels.slice(1)].map((letter, index) => `x-${letter}: &${letter} [${Array(9).fill(`*${levels[index]}`).join(', ')}]`),
].join('\n')

const mergeFlood = [
  `x-a: &a { ${Array.from({ length: 500 }, (_, index) => `k${index}: 1`).join(', ')} }`,
  'x-b:',
  ...Array.from({ length: 300 }, () => `  - <<: [${Array(50).fill('*a').join(', ')}]`),
].join('\n')

const aliasChain = ['x-0: &a0 {}', ...Array.from({ length: 900 }, (_, index) => `x-${index + 1}: &a${index + 1} { y: *a${index} }`)].join(
  '\n',
)

describe('one located error', () => {
  test.each([
    ['an alias bomb', aliasBomb, 'yaml-alias'],
    ['a flood of merge keys', mergeFlood, 'yaml-alias'],
    ['aliases that nest maps without end', aliasChain, 'yaml-alias'],
    ['thousands of aliases', `x-a: &a 1\ntopics: [${'*a, '.repeat(5_000)}]`, 'yaml-alias'],
    ['brackets half a million deep', '['.repeat(500_000), 'yaml-syntax'],
    ['blocks two thousand deep', Array.from({ length: 2_000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'), 'yaml-syntax'],
    ['question marks', '? '.repeat(300_000), 'yaml-syntax'],
    ['dashes', '- '.repeat(400_000), 'yaml-syntax'],
    ['anchors', '&a '.repeat(300_000), 'yaml-syntax'],
    ['a bracket and comments', `a: [${'# '.repeat(500_000)}`, 'yaml-syntax'],
    ['a quote that never closes', `a: "${'x'.repeat(1_000_000)}`, 'yaml-syntax'],
    ['hundreds of thousands of values', `topics:\n${'  - a\n'.repeat(170_000)}`, 'file-too-large'],
    ['hundreds of thousands of equal keys', 'topics: a\n'.repeat(90_000), 'file-too-large'],
    ['hundreds of thousands of templates', 'topics: {{x}}\n'.repeat(60_000), 'file-too-large'],
    ['hundreds of thousands of documents', '---\n'.repeat(200_000), 'yaml-documents'],
  ])('%s', (_, text, code) => {
    const problems = problemsOf(text).filter(problem => !['schema-missing-key', 'schema-unknown-key'].includes(problem.code))
    expect(problems.map(problem => problem.code)).toEqual([code])
    expect(problems[0]?.range).toBeDefined()
    expect(problems[0]?.message.length).toBeLessThan(200)
  })
})

test('ten thousand unknown keys are a hundred problems and a word about the rest', () => {
  const problems = problemsOf(Array.from({ length: 10_000 }, (_, index) => `key${index}: 1`).join('\n'))
  expect(problems).toHaveLength(101)
  expect(problems.map(problem => problem.code)).toContain('too-many-problems')
})

test('ten thousand equal keys are a hundred problems and a word about the rest', () => {
  const problems = problemsOf('topics: a\n'.repeat(10_000))
  expect(problems).toHaveLength(101)
  expect(problems.map(problem => problem.code)).toContain('too-many-problems')
})

test('keys named like parts of an object are keys like any other', () => {
  const text = 'topics: a\n__proto__: { polluted: 1 }\nroutes: { constructor: { actions: [emit: x] }, toString: { actions: [emit: x] } }'
  const { document, problems } = readDocument({ file: 'routes/a.yaml', text, schema: 'routes', env: {}, mode: 'run' })
  expect(problems.map(problem => problem.message)).toEqual(['`__proto__` is no key of a route file'])
  expect(Object.keys(Object(document?.value))).toEqual(['topics', '__proto__', 'routes'])
  expect(Object.getPrototypeOf(document?.value)).toBeNull()
  expect('polluted' in {}).toBe(false)
})

test('names of the environment are own properties only', () => {
  const text = 'topics: "${constructor}-${toString}"\nroutes: { a: { actions: [emit: x] } }'
  expect(problemsOf(text).map(problem => problem.code)).toEqual(['env-unset'])
})
