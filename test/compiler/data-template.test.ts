import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileData } from '../../src/compiler/data-template.ts'
import { reportOn } from '../../src/compiler/document-report.ts'
import { type Scope, TemplateError } from '../../src/compiler/scope.ts'
import { openDocument } from '../../src/config/open-document.ts'
import type { Problem } from '../../src/diagnostics/problem.ts'
import { scopeOf } from './scopes.ts'

function compile(value: unknown) {
  const problems: Problem[] = []
  const { document } = openDocument({ file: 'routes/a.yaml', text: JSON.stringify(value), env: {}, severityOfUnset: () => undefined })
  return { source: compileData({ report: reportOn(document, problems), results: [], item: false }, [], document.value), problems }
}

function dataOf(value: unknown) {
  const { source, problems } = compile(value)
  if (source === undefined) throw new Error(problems.map(problem => problem.message).join())
  return source
}

function render(value: unknown, scope: Partial<Scope> = {}): unknown {
  return dataOf(value).render(scopeOf(scope))
}

describe('structured data', () => {
  test('a lone path keeps its type', () => {
    const data = { n: 1, t: 'x', b: false, nothing: null, list: [1], map: { a: 1 } }
    const template = {
      n: '{{data.n}}',
      t: '{{data.t}}',
      b: '{{data.b}}',
      nothing: '{{data.nothing}}',
      list: '{{data.list}}',
      map: '{{ data.map }}',
    }
    expect(render(template, { data })).toEqual(data)
  })

  test('a missing leaf is left out of a map and null in a list', () => {
    expect(render({ a: '{{data.x}}', b: ['{{data.x}}', 1, { c: '{{data.x}}' }] })).toEqual({ b: [null, 1, {}] })
  })

  test('a lone {{data}} is the same object, not a copy', () => {
    const data = { big: [1, 2, 3] }
    expect(render('{{data}}', { data })).toBe(data)
  })

  test('inside a text values are written out', () => {
    expect(render({ text: 'Order {{data.id}} of {{data.who}}: {{data.paid}}' }, { data: { id: 7, who: '', paid: true } })).toEqual({
      text: 'Order 7 of : true',
    })
  })

  test.each([
    [{}, 'data.x is missing: use {{default data.x "..."}}'],
    [{ x: null }, 'data.x is null: use {{default data.x "..."}}'],
    [{ x: {} }, 'data.x is an object'],
    [{ x: [] }, 'data.x is a list'],
  ])('inside a text %j is an error', (data, message) => {
    expect(() => render({ a: ['n: {{data.x}}'] }, { data })).toThrow(TemplateError)
    expect(() => render({ a: ['n: {{data.x}}'] }, { data })).toThrow(message)
  })

  test('helpers fill in and write JSON', () => {
    expect(
      render(
        {
          a: '{{default data.nick "anonymous"}}',
          b: '{{json data}}',
          c: '{{default data.n 5}}',
          d: '{{default data.n null}}',
          e: '{{lower data.gone}}',
        },
        { data: { x: [1] } },
      ),
    ).toEqual({
      a: 'anonymous',
      b: '{"x":[1]}',
      c: 5,
      d: null,
    })
  })

  test.each([
    ['{{lower data}}', 'data is an object, and lower takes text'],
    ['{{hash data.list}}', 'data.list is a list, and hash takes text'],
    ['{{date data.word "yyyy"}}', 'data.word is neither epoch milliseconds nor an ISO timestamp'],
    ['{{date data.leap "yyyy"}}', 'data.leap is neither epoch milliseconds nor an ISO timestamp'],
  ])('%s refuses what it cannot take', (template, message) => {
    expect(() => render([template], { data: { list: [], word: 'soon', leap: '2030-02-29' } })).toThrow(message)
  })

  test('json refuses what cannot be written', () => {
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    expect(() => render(['{{json data}}'], { data: loop })).toThrow('data cannot be written as JSON')
    expect(() => render(['{{json data}}'], { data: Buffer.from('x') })).toThrow('data is binary')
  })

  test('bytes may be the whole data, not a part of other data', () => {
    const data = Buffer.from([1, 2])
    expect(render('{{data}}', { data })).toBe(data)
    expect(() => render({ a: '{{data}}' }, { data })).toThrow('data is binary and cannot stand inside other data')
  })

  test('parts without templates are built once, shared and frozen', () => {
    const source = dataOf({ fixed: { a: [1, { b: 2 }] }, id: '{{data.id}}' })
    const [one, two] = [source.render(scopeOf({ data: { id: 1 } })), source.render(scopeOf({ data: { id: 2 } }))]
    expect(one).toEqual({ fixed: { a: [1, { b: 2 }] }, id: 1 })
    expect(Reflect.get(Object(one), 'fixed')).toBe(Reflect.get(Object(two), 'fixed'))
    expect(() => {
      Reflect.get(Object(one), 'fixed').a[1].b = 3
    }).toThrow(TypeError)
    expect(dataOf({ a: 1 }).constant).toBe(true)
    expect(source.constant).toBe(false)
  })

  test.each([
    ['{{data.x}}', false],
    [{ a: ['{{data.x}}'] }, false],
    ['topic {{topic}}, {{offset}}', false],
    ['n {{data.x}}', true],
    ['k {{key}}', true],
    [{ a: { b: 'n {{data.x}}' } }, true],
    ['{{default data.x 1}}', false],
    ['{{lower data.x}}', true],
    ['{{default (lower data.x) 1}}', true],
    ['{{data}}', false],
    [{ a: '{{data}}' }, true],
    [{ a: 1 }, false],
  ])('%j can fail: %s', (value, expected) => {
    expect(dataOf(value).canFail).toBe(expected)
  })

  test('a key cannot be a template', () => {
    expect(compile({ a: { '{{data.k}}': 1 } }).problems).toMatchObject([
      { code: 'template-syntax', message: 'A key of data cannot be a template', range: { start: { column: 7 } } },
    ])
  })

  test('a key named __proto__ is a key like any other', () => {
    const text = '{"__proto__": {"admin": true}, "id": "{{data.id}}", "deep": {"__proto__": 1}}'
    const { document } = openDocument({ file: 'routes/a.yaml', text, env: {}, severityOfUnset: () => undefined })
    const source = compileData({ report: reportOn(document, []), results: [], item: false }, [], document.value)
    const rendered = source?.render(scopeOf({ data: { id: 1 } }))
    expect(JSON.stringify(rendered)).toBe('{"__proto__":{"admin":true},"id":1,"deep":{"__proto__":1}}')
    expect(Reflect.get(Object(rendered), 'admin')).toBeUndefined()
  })

  test('every mistake is reported where it stands', () => {
    expect(compile({ a: '{{oops}}', b: ['{{#if x}}{{/if}}'] }).problems.map(problem => problem.range?.start.column)).toEqual([9, 23])
  })

  test('data without templates and variables comes out as it went in', () => {
    fc.assert(
      fc.property(
        fc.jsonValue().filter(value => !/\{\{|\$\{/.test(JSON.stringify(value))),
        value => {
          expect(JSON.stringify(render(value))).toBe(JSON.stringify(value))
        },
      ),
    )
  })
})
