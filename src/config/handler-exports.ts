import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem, SourceRange } from '../diagnostics/problem.ts'

/** A handler as a route names it, and the place where it does. */
export interface NamedHandler {
  readonly module: string
  readonly exportName: string
  readonly file: string
  readonly range: SourceRange
}

/**
 * Handlers whose module plainly does not export them. Modules are read, never run; one that is written in a way nobody can follow without running it is
 * taken to be fine: it is loaded when the router starts.
 */
export function missingExports(root: string, handlers: readonly NamedHandler[]): readonly Problem[] {
  return handlers.flatMap(({ module, exportName, file, range }) => {
    const text = withoutComments(readText(join(root, module)))
    if (text === undefined || exportsName(text, exportName)) return []
    const what = exportName === 'default' ? 'default export' : `export \`${exportName}\``
    const hint =
      exportName === 'default' ? 'Add export default defineHandler(async (event, ctx) => { ... })' : 'Name an export of the module after #'
    return [{ code: 'handler-invalid', severity: 'error', message: `${module} has no ${what}`, file, range, hint }]
  })
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // A module that is missing has been reported.
    return undefined
  }
}

function withoutComments(text: string | undefined): string | undefined {
  return text?.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
}

function exportsName(text: string, name: string): boolean {
  // Everything of another module, or CommonJS made at run time.
  if (/\bexport\s*\*/.test(text) || /\bmodule\.exports\b|\bexports\s*[.[]/.test(text)) return true
  const word = name.replaceAll(/[^\w$]/g, '')
  if (name === 'default' && /\bexport\s+default\b/.test(text)) return true
  if (new RegExp(`\\bexport\\s+(?:async\\s+)?(?:function\\*?|const|let|var|class)\\s+${word.replaceAll('$', '\\$')}\\b`).test(text))
    return true
  // A list, or several constants in one statement.
  return [...text.matchAll(/\bexport\s*(?:\{([^}]*)\}|(?:const|let|var)\s+([^;]*))/g)].some(([, list, rest]) =>
    new RegExp(`\\b${word.replaceAll('$', '\\$')}\\b`).test(list ?? rest ?? ''),
  )
}
