import { type Dirent, readdirSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Paths of route files below `routes/`, relative to the root, with forward slashes, sorted. Files and folders that start with `.` or `_` and
 * `*.test.yaml` are none. Symbolic links are followed: a mounted ConfigMap is made of them. Undefined where there is no such folder; other errors of the
 * file system are thrown.
 */
export function findRouteFiles(root: string): readonly string[] | undefined {
  const files: string[] = []
  const visited = new Set<string>()
  if (statSync(join(root, 'routes'), { throwIfNoEntry: false })?.isDirectory() !== true) return undefined
  visit('routes')
  return files.sort()

  function visit(folder: string): void {
    const real = realpathSync(join(root, folder))
    if (visited.has(real)) return
    visited.add(real)
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (/^[._]/.test(entry.name)) continue
      const path = `${folder}/${entry.name}`
      const kind = kindOf(root, path, entry)
      if (kind === 'folder') visit(path)
      if (kind === 'file' && isRouteFileName(entry.name)) files.push(path)
    }
  }
}

function isRouteFileName(name: string): boolean {
  return /\.(ya?ml|json)$/.test(name) && !/\.test\.(ya?ml|json)$/.test(name)
}

/** True for a path (relative to the root, with forward slashes) that `findRouteFiles` finds if it exists. */
export function isRouteFilePath(path: string): boolean {
  const parts = path.split('/')
  return parts[0] === 'routes' && parts.length > 1 && parts.every(part => !/^[._]/.test(part)) && isRouteFileName(parts.at(-1) ?? '')
}

function kindOf(root: string, path: string, entry: Dirent): 'file' | 'folder' | 'other' {
  const stats = entry.isSymbolicLink() ? statSync(join(root, path), { throwIfNoEntry: false }) : entry
  if (stats === undefined) return isRouteFileName(entry.name) ? 'file' : 'other'
  return stats.isDirectory() ? 'folder' : stats.isFile() ? 'file' : 'other'
}
