import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A project in a folder of its own that goes away with the test. */
export interface TestProject {
  readonly root: string
  write(file: string, text: string): Promise<void>
  remove(file: string): Promise<void>
}

export async function makeProject(files: Readonly<Record<string, string>>): Promise<TestProject> {
  const root = await mkdtemp(join(tmpdir(), 'signalbox-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  const write = async (file: string, text: string) => {
    await mkdir(dirname(join(root, file)), { recursive: true })
    await writeFile(join(root, file), text)
  }
  for (const [file, text] of Object.entries(files)) await write(file, text)
  return { root, write, remove: file => rm(join(root, file)) }
}
