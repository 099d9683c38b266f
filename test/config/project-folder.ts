import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type LoadOptions, loadProject, type Project } from '../../src/config/load-project.ts'

/** A project in a temporary folder of its own, removed after the test. Returns its root. */
export function projectFolder(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = mkdtempSync(join(tmpdir(), 'signalbox-config-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), content)
  }
  return root
}

export function loadFiles(files: Readonly<Record<string, string | Uint8Array>>, options: Partial<LoadOptions> = {}): Promise<Project> {
  return loadProject({ root: projectFolder(files), env: {}, mode: 'validate', ...options })
}

/** `file:line:column code`, or `file code` for a whole file. */
export function places(project: Project): readonly string[] {
  return project.problems.map(
    ({ file, range, code }) => `${file}${range === undefined ? '' : `:${range.start.line}:${range.start.column}`} ${code}`,
  )
}
