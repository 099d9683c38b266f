import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface SourceImport {
  /** Relative to src/ for a file of the project, else the package or `node:` module as written. */
  readonly to: string
  readonly isOwn: boolean
  /** Gone after compiling. */
  readonly typeOnly: boolean
}

export interface SourceFile {
  /** Relative to src/, with forward slashes. */
  readonly path: string
  /** The folder below src/, or the file itself for those beside the folders. */
  readonly room: string
  readonly text: string
  readonly imports: readonly SourceImport[]
}

const sourceFolder = fileURLToPath(new URL('../src/', import.meta.url))

export function readSources(): readonly SourceFile[] {
  const paths = readdirSync(sourceFolder, { recursive: true, encoding: 'utf8' }).map(path => path.replaceAll('\\', '/'))
  return paths
    .filter(path => path.endsWith('.ts'))
    .sort()
    .map(path => {
      const text = readFileSync(join(sourceFolder, path), 'utf8')
      return { path, room: path.split('/')[0] ?? path, text, imports: importsOf(path, text) }
    })
}

const statement = /^(?:import|export)\s(?<clause>[^'"`;]*?)\bfrom\s+['"](?<from>[^'"]+)['"]/gm
const bareImport = /^import\s+['"](?<from>[^'"]+)['"]/gm
const importCall = /(?<type>(?:=|:|typeof)\s*)?\bimport\(\s*['"](?<from>[^'"]+)['"]\s*\)/g

/** Static, side-effect, dynamic and type imports of a source text, and what it exports from elsewhere. */
export function importsOf(path: string, source: string): readonly SourceImport[] {
  const text = withoutComments(source)
  const found: SourceImport[] = []
  const add = (from: string, typeOnly: boolean) => {
    const isOwn = from.startsWith('.')
    found.push({ to: isOwn ? posix.join(posix.dirname(path), from) : from, isOwn, typeOnly })
  }
  for (const { groups } of text.matchAll(statement)) add(groups?.['from'] ?? '', isTypeClause(groups?.['clause'] ?? ''))
  for (const { groups } of text.matchAll(bareImport)) add(groups?.['from'] ?? '', false)
  // `await import(...)` is the only way to import at run time here; every other `import(...)` stands for a type.
  for (const match of text.matchAll(importCall)) add(match.groups?.['from'] ?? '', match.groups?.['type'] !== undefined)
  return found
}

function isTypeClause(clause: string): boolean {
  if (/^type\s/.test(clause)) return true
  const names = /^\{(?<names>[^}]*)\}\s*$/.exec(clause.trim())?.groups?.['names']
  if (names === undefined) return false
  return names
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
    .every(name => name.startsWith('type '))
}

export function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:'"`\w])\/\/.*$/gm, '')
}
