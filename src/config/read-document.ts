import type { Problem } from '../diagnostics/problem.ts'
import { sortProblems } from '../diagnostics/sort-problems.ts'
import type { Environment } from './environment.ts'
import { numberTraps } from './number-traps.ts'
import { openDocument } from './open-document.ts'
import { checkSchema } from './schema-problems.ts'
import type { SchemaName } from './schema-validator.ts'
import { secretsOf } from './secret-values.ts'
import type { SourceDocument, ValuePath } from './source-document.ts'

/** `validate` only looks; `dev` and `run` are about to start. */
export type LoadMode = 'validate' | 'dev' | 'run'

export interface ReadOptions {
  /** Relative to the project's root, with forward slashes. */
  readonly file: string
  readonly text: string
  readonly schema: SchemaName
  readonly env: Environment
  readonly mode: LoadMode
}

export interface ReadResult {
  /** Undefined where the text could not be read to its end, or holds nothing. */
  readonly document: SourceDocument | undefined
  /** False where the text could not be read: nothing can be said about what it holds, or lacks. */
  readonly isRead: boolean
  /** Silences later checks at a path of the document: its problem is already reported. */
  markUnsound(path: ValuePath): void
  readonly problems: readonly Problem[]
  /** Values that must not appear in any output. */
  readonly secrets: readonly string[]
}

/** Reads and checks one route file or router.yaml: YAML, environment, schema. Never throws for what the text holds. */
export function readDocument({ file, text, schema, env, mode }: ReadOptions): ReadResult {
  const open = openDocument({
    file,
    text,
    env,
    severityOfUnset: path => {
      if (mode === 'validate') return 'warning'
      return mode === 'dev' && schema === 'router' && isAppSecret(path) ? undefined : 'error'
    },
  })
  const failed = { document: undefined, isRead: open.empty, markUnsound: open.markUnsound, secrets: [] }
  if (open.empty && schema !== 'router') {
    const [noun, keys] = schema === 'routes' ? ['route', '`topics` and `routes`'] : ['test', '`tests`']
    const hint = `Write at least ${keys}, or delete the file`
    return { ...failed, problems: [{ code: 'file-empty', severity: 'error', message: `The ${noun} file holds nothing`, file, hint }] }
  }
  if (!open.readable) return { ...failed, problems: open.problems }
  const problems = [...open.problems, ...checkSchema(open, schema)]
  if (schema === 'routes') problems.push(...numberTraps(open))
  return {
    document: open.document,
    isRead: true,
    markUnsound: open.markUnsound,
    problems: sortProblems(problems),
    secrets: secretsOf(open, schema),
  }
}

/** `server.apps[n].secret` */
function isAppSecret(path: ValuePath): boolean {
  return path.length === 4 && path[0] === 'server' && path[1] === 'apps' && path[3] === 'secret'
}
