import { existsSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { CommandFailure } from './failure.ts'

/** Flags that every command takes. */
export interface GlobalOptions {
  readonly project?: string
}

/**
 * The project's folder: the one named, else the nearest upwards with `router.yaml` or `routes/`, else `from` itself.
 * Throws CommandFailure where the one named is no folder.
 */
export function projectRoot({ project }: GlobalOptions, from: string = process.cwd()): string {
  if (project === undefined) return nearestProject(from) ?? resolve(from)
  const root = resolve(project)
  if (!isFolder(root)) throw new CommandFailure(2, `--project ${project}: there is no such folder`)
  return root
}

function nearestProject(from: string): string | undefined {
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'router.yaml')) || isFolder(join(folder, 'routes'))) return folder
    if (folder === dirname(folder)) return undefined
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}
