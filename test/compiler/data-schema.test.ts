import { describe, expect, test } from 'vitest'
import { schemaCompiler } from '../../src/compiler/data-schema.ts'
import { compileFiles, describe as told } from './compile-files.ts'

const order = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'string' }, items: { type: 'array', items: { $ref: './item.json' } } },
}
const item = {
  type: 'object',
  properties: { 'odd/key~': { enum: ['a', 'b'] }, at: { type: 'string', format: 'date-time' } },
  additionalProperties: false,
}

function check(files: Record<string, unknown>, data: unknown, file = 'schemas/order.json'): string | null {
  const schema = schemaCompiler(new Map(Object.entries(files))).compile(file)
  if (typeof schema === 'string') throw new Error(schema)
  return schema.check(data)
}

describe('a JSON Schema', () => {
  const files = { 'schemas/order.json': order, 'schemas/item.json': item }

  test.each([
    [{ id: 'a' }, null],
    [{ id: 7 }, 'data.id must be string'],
    [{}, "data must have required property 'id'"],
    [undefined, 'data must be object'],
    [{ id: 'a', items: [{}, { 'odd/key~': 'c' }] }, 'data.items.1.odd/key~ must be equal to one of the allowed values: a, b'],
    [{ id: 'a', items: [{ more: 1 }] }, 'data.items.0 must NOT have additional properties: `more`'],
    [{ id: 'a', items: [{ at: 'yesterday' }] }, 'data.items.0.at must match format "date-time"'],
    [Buffer.from('x'), 'data is binary'],
  ])('says in one sentence what is wrong with %j', (data, expected) => {
    expect(check(files, data)).toBe(expected)
  })

  test('keeps long names of strangers short', () => {
    expect(check(files, { id: 'a', items: [{ ['x'.repeat(10_000)]: 1 }] })?.length).toBeLessThan(300)
  })

  test('survives data nested deeper than the stack', () => {
    const nested: unknown = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`)
    expect(check({ 'schemas/order.json': { type: 'array', items: { $ref: '#' } } }, nested)).toBe('data is nested too deep to be checked')
  })

  test('is read in the dialect it names', () => {
    const tuple = { items: [{ type: 'number' }] }
    expect(check({ 'a.json': { $schema: 'http://json-schema.org/draft-07/schema#', ...tuple } }, ['x'], 'a.json')).toBe(
      'data.0 must be number',
    )
    expect(
      check({ 'a.json': { $schema: 'https://json-schema.org/draft/2020-12/schema', prefixItems: [{ type: 'number' }] } }, ['x'], 'a.json'),
    ).toBe('data.0 must be number')
    const both = {
      'old/a.json': { $schema: 'http://json-schema.org/draft-07/schema#', $ref: 'b.json#/definitions/n' },
      'old/b.json': { $schema: 'http://json-schema.org/draft-07/schema#', definitions: { n: { type: 'number' } } },
      ...files,
    }
    expect(check(both, 'x', 'old/a.json')).toBe('data must be number')
    expect(check(both, 'x')).toBe('data must be object')
  })

  test('is found by its $id too', () => {
    const byId = {
      'a.json': { $id: 'https://example.com/a', $ref: 'https://example.com/b' },
      'b.json': { $id: 'https://example.com/b', type: 'number' },
    }
    expect(check(byId, 'x', 'a.json')).toBe('data must be number')
  })

  test.each([
    ['../schemas/none.json', {}, 'The JSON Schema schemas/none.json does not exist'],
    [
      '../schemas/a.json',
      { properties: { id: { type: 'strnig' } } },
      expect.stringMatching(
        /schemas\/a.json is invalid: the schema.properties.id.type must be equal to one of the allowed values: array, boolean/,
      ),
    ],
    [
      '../schemas/a.json',
      { $ref: './none.json' },
      "The JSON Schema schemas/a.json is invalid: can't resolve reference ./none.json from id schemas/a.json",
    ],
    [
      '../schemas/a.json',
      { $schema: 'http://json-schema.org/draft-04/schema#' },
      'The JSON Schema schemas/a.json names a dialect that is not supported',
    ],
    ['../schemas/a.json', { $async: true }, 'The JSON Schema schemas/a.json is asynchronous ($async), which routes cannot wait for'],
    ['../schemas/a.json', [1], 'The JSON Schema schemas/a.json must be an object'],
    ['../../a.json', {}, '`../../a.json` lies outside the project'],
    ['/etc/a.json', {}, '`/etc/a.json` lies outside the project'],
  ])('%s that cannot work is reported at the route: %j', (written, schema, message) => {
    const { problems } = compileFiles(
      { 'routes/a.yaml': `topics: a\nroutes:\n  one:\n    schema: ${written}\n    actions: [{ broadcast: x }]\n` },
      { schemas: { 'schemas/a.json': schema } },
    )
    expect(problems.map(told)).toEqual([typeof message === 'string' ? `4:13 json-schema-invalid ${message}` : message])
  })
})
