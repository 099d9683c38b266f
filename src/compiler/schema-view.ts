import { posix } from 'node:path'
import { isMap } from './source-section.ts'

/** What a JSON Schema says of one field. */
export type FieldFacts =
  | {
      readonly kind: 'declared'
      /** False where a valid event may lack it. */
      readonly isRequired: boolean
      /** JSON types it may have; undefined where the schema does not say. */
      readonly types: ReadonlySet<string> | undefined
      /** The only values it may have; undefined where there are others. */
      readonly values: readonly unknown[] | undefined
    }
  /** The schema names the fields that stand there, and this is none of them. */
  | {
      readonly kind: 'undeclared'
      /** How many parts of the path are fine. */
      readonly depth: number
      readonly declared: readonly string[]
      /** No valid event can have it: other fields are forbidden, or the value above it has none. */
      readonly isImpossible: boolean
    }
  /** The schema leaves it open. */
  | { readonly kind: 'open' }

/** A JSON Schema as far as it can be read without data: what a path leads to. */
export interface SchemaView {
  /** Relative to the project's root. */
  readonly file: string
  facts(segments: readonly string[]): FieldFacts
  /** The schema of a list's elements at the path; undefined where nothing is said of them. */
  elements(segments: readonly string[]): SchemaView | undefined
}

/** `files`: parsed schemas by their path relative to the project's root. */
export function schemaView(files: ReadonlyMap<string, unknown>, file: string): SchemaView {
  return viewOf(files, { file, schema: files.get(file) })
}

interface Node {
  /** Where its `$ref`s start from. */
  readonly file: string
  readonly schema: unknown
}

type Schema = Readonly<Record<string, unknown>>

/** Deeper chains of `$ref` and `allOf` are not followed. */
const deepest = 20

function viewOf(files: ReadonlyMap<string, unknown>, root: Node): SchemaView {
  return {
    file: root.file,
    facts: segments => factsOf(files, root, segments),
    elements(segments) {
      const found = walk(files, root, segments)
      const items = 'facts' in found ? undefined : itemsOf(found.nodes)
      return items === undefined ? undefined : viewOf(files, items)
    },
  }
}

function factsOf(files: ReadonlyMap<string, unknown>, root: Node, segments: readonly string[]): FieldFacts {
  const found = walk(files, root, segments)
  if ('facts' in found) return found.facts
  const schemas = found.nodes.map(({ schema }) => schema)
  return { kind: 'declared', isRequired: found.isRequired, types: typesOf(schemas), values: valuesOf(schemas) }
}

interface OpenNode {
  readonly file: string
  readonly schema: Schema
}

function walk(
  files: ReadonlyMap<string, unknown>,
  root: Node,
  segments: readonly string[],
): { readonly facts: FieldFacts } | { readonly nodes: readonly OpenNode[]; readonly isRequired: boolean } {
  let nodes = flatten(files, root)
  let isRequired = true
  for (const [depth, segment] of segments.entries()) {
    if (nodes.length === 0) return { facts: { kind: 'open' } }
    const types = typesOf(nodes.map(({ schema }) => schema))
    if (types !== undefined && !types.has('object') && !types.has('array'))
      return { facts: { kind: 'undeclared', depth, declared: [], isImpossible: true } }
    const isIndex = /^\d+$/.test(segment) && types?.has('object') !== true
    const child = isIndex ? elementOf(nodes, Number(segment)) : propertyOf(nodes, segment)
    if (child === undefined) return { facts: isIndex ? { kind: 'open' } : missing(nodes, depth) }
    isRequired &&= isIndex ? hasElement(nodes, Number(segment)) : nodes.some(({ schema }) => listOf(schema['required']).includes(segment))
    nodes = flatten(files, child)
  }
  return { nodes, isRequired }
}

/** Keywords that may bring fields which stand in no `properties` of the schema. */
const openers = [
  'anyOf',
  'oneOf',
  'if',
  'patternProperties',
  'dependentSchemas',
  'dependencies',
  'unevaluatedProperties',
  '$dynamicRef',
  '$recursiveRef',
]

function missing(nodes: readonly OpenNode[], depth: number): FieldFacts {
  const declared = nodes.flatMap(({ schema }) => (isMap(schema['properties']) ? Object.keys(schema['properties']) : []))
  const isOpen = nodes.some(({ schema }) => openers.some(key => Object.hasOwn(schema, key)) || isMap(schema['additionalProperties']))
  if (isOpen || declared.length === 0) return { kind: 'open' }
  return { kind: 'undeclared', depth, declared, isImpossible: nodes.some(({ schema }) => schema['additionalProperties'] === false) }
}

/** A schema with everything that also holds for its values: what its `$ref` names and its `allOf`. Empty where one of them cannot be read. */
function flatten(files: ReadonlyMap<string, unknown>, node: Node, depth = 0): readonly OpenNode[] {
  const { file, schema } = node
  if (!isMap(schema) || depth > deepest) return []
  const nodes: OpenNode[] = [{ file, schema }]
  const reference = schema['$ref']
  const also = listOf(schema['allOf']).map(inner => ({ file, schema: inner }))
  if (typeof reference === 'string') {
    const target = resolveReference(files, file, reference)
    if (target === undefined) return []
    also.push(target)
  }
  for (const inner of also) {
    const flat = flatten(files, inner, depth + 1)
    if (flat.length === 0 && inner.schema !== true) return []
    nodes.push(...flat)
  }
  return nodes
}

function resolveReference(files: ReadonlyMap<string, unknown>, from: string, reference: string): Node | undefined {
  const [path = '', fragment = ''] = reference.split('#')
  const file = path === '' ? from : posix.join(posix.dirname(from), path)
  let schema = files.get(file)
  if (fragment !== '' && !fragment.startsWith('/')) return undefined
  for (const part of fragment.split('/').slice(1)) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof schema !== 'object' || schema === null || !Object.hasOwn(schema, key)) return undefined
    schema = Reflect.get(schema, key)
  }
  return schema === undefined ? undefined : { file, schema }
}

function propertyOf(nodes: readonly OpenNode[], name: string): Node | undefined {
  for (const { file, schema } of nodes) {
    const properties = schema['properties']
    if (isMap(properties) && Object.hasOwn(properties, name)) return { file, schema: properties[name] }
  }
  return undefined
}

function elementOf(nodes: readonly OpenNode[], index: number): Node | undefined {
  for (const { file, schema } of nodes) {
    const positional = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : listOf(schema['items'])
    if (index < positional.length) return { file, schema: positional[index] }
  }
  return itemsOf(nodes)
}

function itemsOf(nodes: readonly OpenNode[]): Node | undefined {
  const node = nodes.find(({ schema }) => isMap(schema['items']))
  return node === undefined ? undefined : { file: node.file, schema: node.schema['items'] }
}

function hasElement(nodes: readonly OpenNode[], index: number): boolean {
  return nodes.some(({ schema }) => typeof schema['minItems'] === 'number' && schema['minItems'] > index)
}

function typesOf(schemas: readonly Schema[]): ReadonlySet<string> | undefined {
  let types: ReadonlySet<string> | undefined
  for (const { type } of schemas) {
    const own = new Set(listOf(Array.isArray(type) ? type : type === undefined ? [] : [type]).filter(name => typeof name === 'string'))
    if (own.size > 0) types = types === undefined ? own : new Set([...types].filter(name => own.has(name)))
  }
  return types
}

function valuesOf(schemas: readonly Schema[]): readonly unknown[] | undefined {
  for (const schema of schemas) {
    if (Object.hasOwn(schema, 'const')) return [schema['const']]
    if (Array.isArray(schema['enum'])) return schema['enum']
  }
  return undefined
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
