import { readFileSync, realpathSync, statSync } from 'node:fs'
import { isAbsolute, join, posix, relative, sep } from 'node:path'
import type { Problem } from '../diagnostics/problem.ts'
import { decodeText } from './decode-text.ts'
import { formatSize } from './size.ts'

const largestFile = 1_048_576

export type ReadText = { readonly text: string } | { readonly problem: Problem }

/** Reads files below one folder. Paths are relative to it, with forward slashes. */
export interface ProjectFiles {
  readText(file: string): ReadText
  /** True for a regular file that lies inside the root also after all symbolic links. */
  exists(file: string): boolean
}

export function projectFiles(root: string): ProjectFiles {
  return {
    readText: file => readText(root, file),
    exists: file => isInside(file) && existsInside(root, file),
  }
}

function readText(root: string, file: string): ReadText {
  let bytes: Uint8Array
  try {
    const stats = statSync(join(root, file))
    if (!stats.isFile()) return { problem: fileProblem(file, 'file-unreadable', 'This is no regular file') }
    if (stats.size > largestFile) {
      const message = `The file holds ${formatMegabytes(stats.size)}: more than ${formatSize(largestFile)}`
      return { problem: fileProblem(file, 'file-too-large', message, 'Split it: one file is one subscription') }
    }
    bytes = readFileSync(join(root, file))
  } catch (error) {
    return { problem: fileProblem(file, 'file-unreadable', `The file cannot be read: ${reasonOf(error)}`) }
  }
  return decodeText(file, bytes)
}

function formatMegabytes(bytes: number): string {
  return `${(bytes / largestFile).toFixed(1)}mb`
}

/** The system's error code in words; anything else is a bug and thrown on. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'it does not exist'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (typeof code === 'string') return code
  throw error
}

function fileProblem(file: string, code: Problem['code'], message: string, hint?: string): Problem {
  return { code, severity: 'error', message, file, ...(hint === undefined ? {} : { hint }) }
}

function existsInside(root: string, file: string): boolean {
  try {
    const inside = relative(realpathSync(root), realpathSync(join(root, file)))
    return isInside(inside.split(sep).join('/')) && statSync(join(root, file)).isFile()
  } catch {
    return false
  }
}

/** False for a path that leaves the folder it is relative to. */
export function isInside(path: string): boolean {
  const normal = posix.normalize(path)
  return normal !== '..' && !normal.startsWith('../') && !isAbsolute(path)
}
