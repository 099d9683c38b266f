import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

const build = fileURLToPath(new URL('../../.ci/build.mjs', import.meta.url))

/** Builds dist/ where it is missing or old, if a selected test runs the built command or hands the built client to a browser. */
export default async function setup(project: TestProject): Promise<void> {
  const filters = process.argv.slice(2).filter(argument => !argument.startsWith('-') && argument !== 'run')
  const { testFiles } = await project.globTestFiles(filters)
  const texts = await Promise.all(testFiles.map(file => readFile(file, 'utf8')))
  if (!texts.some(text => /\/router-(?:command|process)\.ts'|\/dist\/client\//.test(text))) return
  const { status } = spawnSync(process.execPath, [build, '--if-stale'], { stdio: 'inherit' })
  if (status !== 0) throw new Error('the build failed: tests of the built command cannot run')
}
