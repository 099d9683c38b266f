import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import type { ConfigReader } from './config-reader.ts'
import type { LoadMode } from './read-document.ts'
import { problemAt, type ValuePath } from './source-document.ts'

/** A chain of certificates is a few kilobytes. */
const largestPem = 1_048_576

export interface PemContext {
  readonly root: string
  readonly mode: LoadMode
  readonly problems: Problem[]
}

export interface PemUse {
  /** The type of its block, or the end of it: `PRIVATE KEY` fits `RSA PRIVATE KEY` too. */
  readonly kind: 'CERTIFICATE' | 'PRIVATE KEY' | 'PUBLIC KEY'
  /** The variable that the hint proposes. */
  readonly variable: string
}

/**
 * PEM at `path`: text where the value holds PEM text, else a file, relative to the project, or absolute where it is mounted elsewhere. Undefined where
 * it cannot be used, which is reported.
 */
export function readPem(reader: ConfigReader, path: ValuePath, use: PemUse, { root, mode, problems }: PemContext): string | undefined {
  const written = reader.text(path)
  const { document } = reader
  if (written === undefined || document === undefined || !document.isSound(path)) return undefined
  // Environment files often hold PEM in one line, with \n in place of its line breaks.
  if (written.includes('-----BEGIN')) return checked(written.replaceAll('\\n', '\n'), 'The text')
  // A private key need not be on the machine that validates.
  const severity = mode === 'run' ? 'error' : 'warning'
  const hint = `Name a PEM file, relative to ${document.file}, or give the text: ${path.at(-1)}: "\${${use.variable}}"`
  try {
    const file = resolve(root, written)
    if (statSync(file).size > largestPem) return refused('The file is too large to be a PEM file', 'error')
    return checked(readFileSync(file, 'utf8'), 'The file')
  } catch (error) {
    return refused(`The file cannot be read: ${reasonOf(error)}`, severity)
  }

  function checked(text: string, what: string): string | undefined {
    return text.includes(`${use.kind}-----`) ? text : refused(`${what} holds no PEM block of type ${use.kind}`, 'error')
  }

  function refused(message: string, as: 'error' | 'warning'): undefined {
    if (document !== undefined) problems.push(problemAt(document, path, 'file-unreadable', message, { severity: as, hint }))
  }
}

/** The system's error code in words; anything else is a bug and thrown on. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'it does not exist'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code === 'EISDIR') return 'it is a folder'
  if (typeof code === 'string') return code
  throw error
}
