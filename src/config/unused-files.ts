import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'

export interface UsedFiles {
  /** JSON Schemas that routes name, and those they refer to. */
  readonly schemas: Iterable<string>
  /** Handler modules that routes call. */
  readonly handlers: Iterable<string>
}

/**
 * Schemas and handlers that no route uses, in the folders where used ones lie: elsewhere nobody can tell what a file is for. Paths are relative to the
 * root, with forward slashes.
 */
export function unusedFiles(root: string, used: UsedFiles): readonly Problem[] {
  const schemas = new Set(used.schemas)
  const handlers = new Set(used.handlers)
  return [
    ...siblings(root, schemas, /\.json$/)
      .filter(file => isSchema(root, file))
      .map(file => unused(file, 'schema')),
    ...siblings(root, handlers, /\.(?:[mc]?js|m?ts)$/)
      .filter(file => definesHandler(root, file))
      .map(file => unused(file, 'handler')),
  ]
}

function unused(file: string, noun: string): Problem {
  const hint = `Use it in a route, or delete it${noun === 'handler' ? '; a module that handlers share needs no `defineHandler`' : ''}`
  return { code: 'file-unused', severity: 'warning', message: `No route uses this ${noun}`, file, hint }
}

/** Files beside the used ones that are not used themselves, by name. */
function siblings(root: string, used: ReadonlySet<string>, name: RegExp): readonly string[] {
  const folders = new Set([...used].map(file => posix.dirname(file)))
  return [...folders].flatMap(folder => {
    const files = filesIn(join(root, folder)).filter(entry => name.test(entry) && !/^[._]|\.(?:test|spec|d)\.|\.schema\.json$/.test(entry))
    return files.map(entry => posix.join(folder, entry)).filter(file => !used.has(file))
  })
}

function filesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap(entry => (entry.isFile() ? [entry.name] : []))
  } catch {
    // A folder that cannot be listed is reported where a route needs it.
    return []
  }
}

function isSchema(root: string, file: string): boolean {
  try {
    const content: unknown = JSON.parse(readFileSync(join(root, file), 'utf8'))
    return typeof content === 'object' && content !== null && '$schema' in content
  } catch {
    return false
  }
}

function definesHandler(root: string, file: string): boolean {
  return /\bdefine(?:Batch)?Handler\b/.test(readFileSync(join(root, file), 'utf8'))
}
