import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { schemaErrors } from '../../src/config/schema-validator.ts'

type Node = Readonly<Record<string, unknown>>

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Every key that a person can write, with its path in the schema. */
function keysOf(schema: unknown, path = ''): [string, Node][] {
  if (!isNode(schema)) return []
  const keys: [string, Node][] = []
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'properties' && isNode(value)) {
      for (const [key, property] of Object.entries(value)) if (isNode(property)) keys.push([`${path}/${key}`, property])
    }
    if (name !== 'if' && name !== 'examples') keys.push(...keysOf(value, `${path}/${name}`))
  }
  return keys
}

describe.each(['routes', 'router'] as const)('%s.schema.json', name => {
  const schema: unknown = JSON.parse(readFileSync(new URL(`../../schemas/${name}.schema.json`, import.meta.url), 'utf8'))
  const definitions: unknown = isNode(schema) ? schema['$defs'] : undefined

  test('describes every key, for editors', () => {
    const bare = keysOf(schema).filter(([, property]) => {
      const target = String(property['$ref'] ?? '').replace('#/$defs/', '')
      const definition = isNode(definitions) ? definitions[target] : undefined
      return (
        property['const'] === undefined &&
        property['description'] === undefined &&
        (!isNode(definition) || definition['description'] === undefined)
      )
    })
    expect(bare.map(([path]) => path)).toEqual([])
  })

  test('is a schema that compiles, and refuses what is no map', () => {
    expect(schemaErrors(name, 'text').map(error => error.keyword)).toEqual(['type'])
  })
})
