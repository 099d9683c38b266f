import { describe, expect, test } from 'vitest'
import { compileFiles } from './compile-files.ts'

function problem(template: string) {
  const { problems, schemaProblems } = compileFiles({
    'routes/a.yaml': `topics: a\nroutes:\n  one:\n    actions:\n      - broadcast: '${template}'\n`,
  })
  expect(schemaProblems).toEqual([])
  return problems.map(({ code, message, hint, range }) => ({
    code,
    message,
    hint,
    column: range?.start.column,
    length: (range?.end.column ?? 0) - (range?.start.column ?? 0),
  }))
}

/** Where the template's first character stands in the file. */
const first = 21

describe('a template', () => {
  test.each([
    ['{{#if data.x}}a{{/if}}', 'Block helpers such as {{#if}} are not part of the route language', 0, 22],
    ['{{> part}}', 'Partials ({{> name}}) are not part of the route language', 0, 10],
    ['{{#> layout}}x{{/layout}}', 'Partials ({{> name}}) are not part of the route language', 0, 25],
    ['{{* deco}}', 'Decorators ({{* name}}) are not part of the route language', 0, 10],
    ['a.{{~ data.x }}', 'Whitespace control (~) is not part of the route language', 2, 13],
    ['a.{{../data.x}}', '../data.x cannot be used here: there is no surrounding context', 4, 9],
    ['{{@root.data}}', '@root.data cannot be used here: there is no surrounding context', 2, 10],
    ['{{this}}', 'this cannot be used here: there is no surrounding context', 2, 4],
    ['{{this.data}}', 'this.data cannot be used here: there is no surrounding context', 2, 9],
    ['{{"text"}}', 'A template inserts a path or what a helper makes', 2, 6],
    ['{{lower data.x y=1}}', 'Named arguments (name=value) are not part of the route language', 15, 3],
    ['{{lowr data.x}}', '`lowr` is not a helper', 2, 4],
    ['{{data.x data.y}}', 'data.x is not a helper', 2, 6],
    ['{{lower}}', 'lower takes one value, not 0', 2, 5],
    ['{{default data.x}}', 'default takes 2 values, not 1', 2, 14],
    ['{{lower data.x data.y}}', 'lower takes one value, not 2', 2, 19],
    ['{{date data.x data.y}}', 'the format of date must be a text in quotes', 2, 18],
    [
      '{{date data.x "qq"}}',
      '`qq` is not a date format: its fields are yyyy yy MM dd HH mm ss SSS, other letters go in single quotes',
      2,
      16,
    ],
    ['{{lower (nope data.x)}}', '`nope` is not a helper', 9, 4],
    ['{{lower undefined}}', "undefined cannot be a helper's argument", 8, 9],
    ['user.{{data.id', 'The template opens with {{ and is never closed', 5, 9],
    ['{{data.id}}.{{data..id}}', 'data..id is not a path', 12, 12],
    ['{{data.}}', 'data. is not a path', 0, 9],
    ['{{data.id}}.{{data.(x)}}', 'The template {{data.(x)}} cannot be parsed', 12, 12],
    ['{{}}', 'The template {{}} cannot be parsed', 0, 4],
  ])('%s is refused where it is wrong', (template, message, index, length) => {
    expect(problem(template)).toEqual([{ code: 'template-syntax', message, hint: expect.any(String), column: first + index, length }])
  })

  test.each([
    ['user.{{dta.id}}', 'dta', 7, 'Did you mean `data`?'],
    [
      'user.{{user_id}}',
      'user_id',
      7,
      "A field of the event's data is read as data.user_id; roots are id, source, event, data, key, headers, topic, partition, offset, timestamp, results",
    ],
    ['user.{{default data.id (lower usr.x)}}', 'usr', 30, expect.any(String)],
    ['{{constructor.name}}', 'constructor', 2, expect.any(String)],
    ['{{__proto__.x}}', '__proto__', 2, expect.any(String)],
  ])('%s has no such root', (template, root, index, hint) => {
    expect(problem(template)).toEqual([
      { code: 'template-root', message: `\`${root}\` is not a root`, hint, column: first + index, length: root.length },
    ])
  })

  test('helpers nested too deep are refused, however deep', () => {
    const nested = (depth: number) => `{{lower ${'(lower '.repeat(depth)}data.x${')'.repeat(depth)}}}`
    expect(problem(nested(7))).toEqual([])
    expect(problem(nested(8))).toMatchObject([{ message: 'Helpers are nested more than 8 deep' }])
    expect(problem(nested(20_000))).toMatchObject([{ message: 'The template is too complex' }])
    expect(problem('{{#a}}'.repeat(20_000))).toMatchObject([{ message: 'The template is too complex' }])
  })

  test('places behind an index at the end of a path are right', () => {
    expect(problem('{{data.a.0}}.{{data.b.12}}.{{usr.x}}')).toMatchObject([{ column: first + 29, length: 3 }])
  })

  test('a misspelt helper gets a hint', () => {
    expect(problem('{{lowr data.x}}')).toMatchObject([{ hint: 'Did you mean `lower`?' }])
  })

  test('every mistake of one template is reported', () => {
    expect(problem('{{usr.a}}.{{itm.b}}').map(({ column }) => column)).toEqual([first + 2, first + 12])
  })
})
