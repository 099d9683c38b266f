import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { CommandFailure } from './failure.ts'

export interface ProjectVersion {
  readonly root: string
  /** Removes what was made for looking at it. */
  remove(): void
}

/** A project in a folder, or as it was in a git revision (`HEAD~1`, `git:main`); `root` is the project whose history is meant. */
export function openVersion(root: string, name: string): ProjectVersion {
  const revision = name.startsWith('git:') ? name.slice(4) : undefined
  if (revision === undefined && statSync(name, { throwIfNoEntry: false })?.isDirectory()) return { root: resolve(name), remove: () => {} }
  return checkOut(root, revision ?? name)
}

function checkOut(root: string, revision: string): ProjectVersion {
  const commit = git(root, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`])?.trim()
  if (commit === undefined || commit === '')
    throw new CommandFailure(2, `${revision} is neither a folder nor a git revision`, 'name a folder, a branch, a tag or HEAD~1')
  const prefix = git(root, ['rev-parse', '--show-prefix'])?.trim() ?? ''
  const top = git(root, ['rev-parse', '--show-toplevel'])?.trim() ?? root
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'signalbox-diff-')))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  const archive = join(folder, 'project.tar')
  // The folder's name is the app's where router.yaml gives none.
  const project = join(folder, 'project', basename(root))
  mkdirSync(project, { recursive: true })
  // A tree rather than a path: it holds the project's own files, whatever folder of the repository they lie in.
  const isMade =
    git(top, ['archive', '--format=tar', '-o', archive, prefix === '' ? commit : `${commit}:${prefix.replace(/\/$/, '')}`]) !== undefined
  const isUnpacked = isMade && spawnSync('tar', ['-xf', archive, '-C', project]).status === 0
  if (isUnpacked) {
    return { root: project, remove }
  }
  remove()
  throw new CommandFailure(
    2,
    `the project cannot be read from ${revision}`,
    isMade ? 'the command tar is needed' : 'was it in this folder then?',
  )
}

/** Undefined where git says no, or there is none. */
function git(root: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  return status === 0 ? stdout : undefined
}
