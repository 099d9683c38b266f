import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Scope } from '../../src/compiler/scope.ts'
import { compileFiles, compileOne, describe as told } from './compile-files.ts'
import { scopeOf } from './scopes.ts'

function holds(when: unknown, scope: Partial<Scope>): boolean {
  const plan = compileOne(JSON.stringify({ topics: 'orders', routes: { one: { when, actions: [{ broadcast: 'x' }] } } }))
  const condition = plan.routes[0]?.when
  if (condition === undefined) throw new Error('no condition was compiled')
  return condition(scopeOf(scope))
}

function onData(when: unknown, data: unknown): boolean {
  return holds(when, { data })
}

function problems(when: unknown) {
  return compileFiles({
    'routes/orders.yaml': JSON.stringify({ topics: 'orders', routes: { one: { when, actions: [{ broadcast: 'x' }] } } }),
  }).problems
}

describe('a condition', () => {
  test.each([
    ['equals a text', { 'data.a': 'x' }, { a: 'x' }, true],
    ['takes no number for a text', { 'data.a': '1' }, { a: 1 }, false],
    ['takes no text for a number', { 'data.a': 1 }, { a: '1' }, false],
    ['equals null', { 'data.a': null }, { a: null }, true],
    ['a missing value is not null', { 'data.a': null }, {}, false],
    ['equals false', { 'data.a': false }, { a: false }, true],
    ['any of a list', { 'data.a': ['x', 2, null] }, { a: 2 }, true],
    ['none of a list', { 'data.a': ['x', 2] }, { a: '2' }, false],
    ['a missing value is in no list', { 'data.a': ['x', null] }, {}, false],
    ['gte at the bound', { 'data.a': { gte: 5 } }, { a: 5 }, true],
    ['gt at the bound', { 'data.a': { gt: 5 } }, { a: 5 }, false],
    ['lt', { 'data.a': { lt: 5 } }, { a: 4.9 }, true],
    ['lte', { 'data.a': { lte: 5 } }, { a: 5.1 }, false],
    ['no number from text', { 'data.a': { gt: 5 } }, { a: '6' }, false],
    ['no number from null', { 'data.a': { lt: 5 } }, { a: null }, false],
    ['timestamps with each other', { 'data.a': { gt: '2030-01-01' } }, { a: '2030-01-01T00:00:01Z' }, true],
    ['timestamps over zones', { 'data.a': { lt: '2030-01-01T00:00:00Z' } }, { a: '2030-01-01T01:00:00+02:00' }, true],
    ['a timestamp and a number', { 'data.a': { gt: '2030-01-01' } }, { a: 9e12 }, false],
    ['a timestamp and another text', { 'data.a': { gt: '2030-01-01' } }, { a: 'zzz' }, false],
    ['several operators all hold', { 'data.a': { gte: 1, lt: 3 } }, { a: 2 }, true],
    ['several operators, one fails', { 'data.a': { gte: 1, lt: 3 } }, { a: 3 }, false],
    ['prefix', { 'data.a': { prefix: 'ab' } }, { a: 'abc' }, true],
    ['suffix', { 'data.a': { suffix: 'ab' } }, { a: 'abc' }, false],
    ['prefix of no text', { 'data.a': { prefix: '1' } }, { a: 12 }, false],
    ['contains a part', { 'data.a': { contains: 'b' } }, { a: 'abc' }, true],
    ['contains a member', { 'data.a': { contains: 2 } }, { a: [1, 2] }, true],
    ['contains takes no number for a text', { 'data.a': { contains: 2 } }, { a: ['2'] }, false],
    ['contains a number in a text', { 'data.a': { contains: 2 } }, { a: '12' }, false],
    ['matches searches', { 'data.a': { matches: 'b+' } }, { a: 'abbc' }, true],
    ['matches anchored', { 'data.a': { matches: '^b' } }, { a: 'ab' }, false],
    ['matches no number', { 'data.a': { matches: '1' } }, { a: 1 }, false],
    ['exists with null', { 'data.a': { exists: true } }, { a: null }, true],
    ['exists, missing', { 'data.a': { exists: true } }, {}, false],
    ['exists: false, missing', { 'data.a.b': { exists: false } }, { a: 1 }, true],
    ['exists: false, there', { 'data.a': { exists: false } }, { a: null }, false],
    ['not a scalar', { 'data.a': { not: 'x' } }, { a: 'y' }, true],
    ['not, missing', { 'data.a': { not: 'x' } }, {}, true],
    ['not a list', { 'data.a': { not: ['x', 'y'] } }, { a: 'y' }, false],
    ['not operators', { 'data.a': { not: { gt: 5 } } }, { a: 6 }, false],
    ['not operators, missing', { 'data.a': { not: { gt: 5 } } }, {}, true],
    ['a missing path fails comparisons', { 'data.a': { lt: 5 } }, {}, false],
    ['two fields', { 'data.a': { gt: { path: 'data.b' } } }, { a: 2, b: 1 }, true],
    ['two fields, one missing', { 'data.a': { gt: { path: 'data.b' } } }, { a: 2 }, false],
    ['two fields of different kinds', { 'data.a': { gt: { path: 'data.b' } } }, { a: 2, b: '2020-01-01' }, false],
    ['two fields of different kinds, whichever is larger', { 'data.a': { lt: { path: 'data.b' } } }, { a: 2, b: '2020-01-01' }, false],
    ['two timestamps', { 'data.a': { gte: { path: 'data.b' } } }, { a: '2030-01-02', b: '2030-01-01' }, true],
    ['every line holds', { 'data.a': 1, 'data.b': 2 }, { a: 1, b: 3 }, false],
    ['all', { all: [{ 'data.a': 1 }, { 'data.b': 2 }] }, { a: 1, b: 2 }, true],
    ['any', { any: [{ 'data.a': 1 }, { 'data.b': 2 }] }, { a: 0, b: 2 }, true],
    ['not as a key', { not: { 'data.a': 1, 'data.b': 2 } }, { a: 1, b: 3 }, true],
    ['list elements', { 'data.items.1.sku': 'b' }, { items: [{ sku: 'a' }, { sku: 'b' }] }, true],
    ['an odd key', { 'data.[a.b c]': 1 }, { 'a.b c': 1 }, true],
    ['no inherited property', { 'data.constructor': { exists: true } }, {}, false],
    ['no property of a text', { 'data.a.length': 1 }, { a: 'x' }, false],
  ])('%s', (_, when, data, expected) => {
    expect(onData(when, data)).toBe(expected)
  })

  test('reads every root', () => {
    const scope = { key: 'k', headers: { h: '1' }, topic: 't', partition: 3, offset: 9, timestamp: 5, event: 'e', id: 'i', source: 's' }
    const when = { key: 'k', 'headers.h': '1', topic: 't', partition: 3, offset: 9, timestamp: 5, event: 'e', id: 'i', source: 's' }
    expect(holds(when, scope)).toBe(true)
    expect(holds(when, { ...scope, key: undefined })).toBe(false)
  })

  test('a catastrophic pattern costs linear time', () => {
    expect(onData({ 'data.a': { matches: '^(a+)+$' } }, { a: `${'a'.repeat(5_000)}!` })).toBe(false)
  })

  test.each([
    [{ 'dta.a': 1 }, 'template-root', '`dta` is not a root', 'Did you mean `data`?'],
    [
      { 'data.a': { gte: 'soon' } },
      'when-condition',
      '`gte` takes a number, an ISO timestamp such as "2030-01-31T12:00:00Z", or { path: data.other }',
      undefined,
    ],
    [
      { 'data.a': { gt: '{{data.b}}' } },
      'when-condition',
      'A condition does not render templates',
      'Compare two fields with { gt: { path: data.min } }',
    ],
    [{ 'data.a': { gt: { path: 'dat.b' } } }, 'template-root', '`dat` is not a root', 'Did you mean `data`?'],
    [
      { 'data..a': 1 },
      'template-syntax',
      '`data..a` is not a path',
      'Write names joined with dots: data.total, data.items.0.sku, data.[odd key]',
    ],
    [{ 'results.x': 1 }, 'results-unknown', 'No earlier action of this route keeps its result as `x`', undefined],
  ])('%j is reported', (when, code, message, hint) => {
    expect(problems(when)).toMatchObject([{ code, message, ...(hint === undefined ? {} : { hint }) }])
  })

  test('a pattern that is not RE2 is reported at the pattern', () => {
    const { problems } = compileFiles({
      'routes/a.yaml': 'topics: a\nroutes:\n  one:\n    when:\n      data.a: { matches: "a(?!b)" }\n    actions: [{ broadcast: x }]\n',
    })
    expect(problems.map(told)[0]).toMatch(/^5:26 regex-syntax/)
  })

  test('agrees with a plain interpreter', () => {
    const scalar = fc.constantFrom<unknown>(
      'a',
      'ab',
      '',
      0,
      1,
      2.5,
      true,
      false,
      null,
      '2030-01-01',
      '2030-01-01T00:00:00Z',
      '2029-12-31T23:30:00-01:00',
    )
    const field = fc.constantFrom('a', 'b', 'c')
    const bound = fc.oneof(
      fc.constantFrom(0, 1, 2.5, '2030-01-01', '2029-06-01T00:00:00Z'),
      fc.record({ path: field.map(name => `data.${name}`) }),
    )
    const { when } = fc.letrec<{ when: unknown; test: unknown }>(tie => ({
      test: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        scalar,
        fc.array(scalar, { minLength: 1, maxLength: 3 }),
        fc
          .record(
            {
              gt: bound,
              gte: bound,
              lt: bound,
              lte: bound,
              exists: fc.boolean(),
              prefix: fc.constantFrom('a', '2'),
              contains: scalar,
              not: tie('test'),
            },
            { requiredKeys: [] },
          )
          .filter(one => Object.keys(one).length > 0),
      ),
      when: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.dictionary(
          field.map(name => `data.${name}`),
          tie('test'),
          { minKeys: 1, maxKeys: 3 },
        ),
        fc.record({ all: fc.array(tie('when'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ any: fc.array(tie('when'), { minLength: 1, maxLength: 3 }) }),
        fc.record({ not: tie('when') }),
      ),
    }))
    const data = fc.dictionary(field, fc.oneof(scalar, fc.array(scalar, { maxLength: 3 })), { noNullPrototype: true })
    fc.assert(
      fc.property(when, data, (condition, given) => {
        expect(onData(condition, given)).toBe(plainHolds(condition, given))
      }),
      { numRuns: 300 },
    )
  })
})

type Fields = Readonly<Record<string, unknown>>

function plainHolds(when: unknown, data: Fields): boolean {
  return fieldsOf(when).every(([key, value]) => {
    if (key === 'all') return listOf(value).every(one => plainHolds(one, data))
    if (key === 'any') return listOf(value).some(one => plainHolds(one, data))
    if (key === 'not') return !plainHolds(value, data)
    return plainTest(value, data[key.slice('data.'.length)], data)
  })
}

function fieldsOf(value: unknown): readonly (readonly [string, unknown])[] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : []
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function plainTest(expected: unknown, value: unknown, data: Fields): boolean {
  if (Array.isArray(expected)) return expected.some(one => one === value)
  if (typeof expected !== 'object' || expected === null) return expected === value
  return Object.entries(expected).every(([operator, raw]: [string, unknown]) => {
    if (operator === 'not') return !plainTest(raw, value, data)
    if (operator === 'exists') return (value !== undefined) === raw
    if (value === undefined) return false
    const operand = typeof raw === 'object' && raw !== null && 'path' in raw ? data[String(raw.path).slice('data.'.length)] : raw
    if (operator === 'prefix') return typeof value === 'string' && value.startsWith(String(operand))
    if (operator === 'contains')
      return typeof value === 'string'
        ? typeof operand === 'string' && value.includes(operand)
        : Array.isArray(value) && value.includes(operand)
    const [left, right] = [plainNumber(value), plainNumber(operand)]
    if (left === undefined || right === undefined || typeof value !== typeof operand) return false
    return { gt: left > right, gte: left >= right, lt: left < right, lte: left <= right }[operator] ?? false
  })
}

function plainNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.length >= 10 ? Date.parse(value) : undefined
}
