import { posix } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { lineIndex } from './line-index.ts'
import { isInside, type ProjectFiles } from './project-files.ts'
import type { SourceDocument, ValuePath } from './source-document.ts'
import { parseYaml } from './yaml.ts'

export interface EventSchemas {
  /** By path relative to the root: every file that a route's `schema:` names and every file those `$ref`. */
  readonly schemas: ReadonlyMap<string, unknown>
  readonly problems: readonly Problem[]
  readonly texts: ReadonlyMap<string, string>
}

/** A route file whose `schema` keys can be marked, so that a schema file with a problem of its own is not reported there as well. */
export interface SchemaUser {
  readonly document: SourceDocument
  markUnsound(path: ValuePath): void
}

/** Reads the JSON Schemas of all routes. A file that does not exist is left out: the compiler says so where it is named. */
export function readEventSchemas(users: readonly SchemaUser[], files: ProjectFiles): EventSchemas {
  const schemas = new Map<string, unknown>()
  const texts = new Map<string, string>()
  const problems: Problem[] = []
  const failed = new Set<string>()
  for (const { document, markUnsound } of users) {
    for (const { path, written } of schemaKeys(document)) {
      const file = posix.join(posix.dirname(document.file), written)
      if (document.isSound(path)) read(file)
      if (failed.has(file)) markUnsound(path)
    }
  }
  return { schemas, problems, texts }

  function read(file: string): void {
    if (schemas.has(file) || failed.has(file) || !isInside(file) || !files.exists(file)) return
    const result = files.readText(file)
    const schema = 'problem' in result ? result : parseJson(file, result.text)
    if ('text' in result) texts.set(file, result.text)
    if ('problem' in schema) {
      failed.add(file)
      problems.push(schema.problem)
      return
    }
    schemas.set(file, schema.value)
    for (const reference of references(schema.value)) read(posix.join(posix.dirname(file), reference))
  }
}

function schemaKeys(document: SourceDocument): { path: ValuePath; written: string }[] {
  const routes = property(document.value, 'routes')
  if (typeof routes !== 'object' || routes === null) return []
  const keys: { path: ValuePath; written: string }[] = []
  for (const [name, route] of Object.entries(routes)) {
    const written = property(route, 'schema')
    if (typeof written === 'string') keys.push({ path: ['routes', name, 'schema'], written })
  }
  return keys
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
}

/** JSON of one schema. The YAML reader (JSON is YAML) says where it is wrong. */
function parseJson(file: string, text: string): { readonly value: unknown } | { readonly problem: Problem } {
  try {
    return { value: JSON.parse(text) }
  } catch {
    const fault = parseYaml(text).faults[0]
    const problem: Problem = { code: 'json-schema-invalid', severity: 'error', message: 'The schema is not valid JSON', file }
    return { problem: fault === undefined ? problem : { ...problem, range: lineIndex(text).rangeOf(fault.start, fault.end) } }
  }
}

/** Files that a schema refers to: `$ref` values that are no fragment of itself and no address. */
function references(schema: unknown): Set<string> {
  const found = new Set<string>()
  const rest: unknown[] = [schema]
  while (rest.length > 0) {
    const value = rest.pop()
    if (typeof value !== 'object' || value === null) continue
    const reference = property(value, '$ref')
    const file = typeof reference === 'string' ? (reference.split('#')[0] ?? '') : ''
    if (file !== '' && !/^[a-z][a-z0-9+.-]*:/i.test(file)) found.add(file)
    rest.push(...Object.values(value))
  }
  return found
}
