import { posix } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { lineIndex } from './line-index.ts'
import { isInside, type ProjectFiles } from './project-files.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'
import { parseYaml } from './yaml.ts'

export interface EventSchemas {
  /** By path relative to the root: every file that a route's `schema:` names and every file those `$ref`. */
  readonly schemas: ReadonlyMap<string, unknown>
  readonly problems: readonly Problem[]
  readonly texts: ReadonlyMap<string, string>
}

/** Reads the JSON Schemas of all routes. A file that is missing or no JSON is one problem; the route's `schema` is then left to nobody else. */
export function readEventSchemas(documents: readonly SourceDocument[], files: ProjectFiles): EventSchemas {
  const schemas = new Map<string, unknown>()
  const texts = new Map<string, string>()
  const problems: Problem[] = []
  const failed = new Set<string>()
  for (const document of documents) {
    for (const { path, written } of schemaKeys(document)) {
      if (document.isSound(path)) read(posix.join(posix.dirname(document.file), written), message => report(document, path, message))
    }
  }
  return { schemas, problems, texts }

  function read(file: string, reportMissing: (message: string) => void): void {
    if (schemas.has(file) || failed.has(file)) return
    if (!isInside(file)) return reportMissing(`\`${file}\` lies outside the project`)
    if (!files.exists(file)) return reportMissing(`The schema \`${file}\` does not exist`)
    const result = files.readText(file)
    if ('problem' in result) {
      failed.add(file)
      problems.push(result.problem)
      return
    }
    texts.set(file, result.text)
    const schema = parseJson(file, result.text)
    if ('problem' in schema) {
      failed.add(file)
      problems.push(schema.problem)
      return
    }
    schemas.set(file, schema.value)
    for (const reference of references(schema.value)) {
      const target = posix.join(posix.dirname(file), reference)
      read(target, message =>
        problems.push({ code: 'json-schema-invalid', severity: 'error', message: `${message} (\`$ref\` in this file)`, file }),
      )
    }
  }

  function report(document: SourceDocument, path: ValuePath, message: string): void {
    problems.push(problemAt(document, path, 'json-schema-invalid', message, { hint: 'The path is relative to the route file' }))
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
