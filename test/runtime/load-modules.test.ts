import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HandlerModules } from '../../src/runtime/handler-modules.ts'

let root = ''

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'signalbox-modules-'))
  await writeFile(join(root, 'plain.ts'), 'export default (event: object): object => event\n')
  await writeFile(join(root, 'deep.ts'), 'Error.stackTraceLimit = 77\nexport default () => {}\n')
})
afterAll(() => rm(root, { recursive: true, force: true }))

// In a file of its own: it is the first module of a process that would change them.
test('reading modules leaves the stacks of errors as they were, but for what a module sets itself', async () => {
  const before = { limit: Error.stackTraceLimit, prepare: Error.prepareStackTrace }
  const load = (module: string) => HandlerModules.load(root, [{ module, exportName: 'default' }])
  expect(await load('plain.ts')).toBeInstanceOf(HandlerModules)
  expect({ limit: Error.stackTraceLimit, prepare: Error.prepareStackTrace }).toEqual(before)
  await load('deep.ts')
  expect(Error.stackTraceLimit).toBe(77)
  Error.stackTraceLimit = before.limit
})
