import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { RunningCommand, router } from './cli/router-command.ts'

const run = promisify(execFile)
const repository = fileURLToPath(new URL('..', import.meta.url))
const quiet = ['--no-audit', '--no-fund', '--loglevel=error']

/** A folder where the packed package is installed, as the README says. */
async function installed(): Promise<{ readonly root: string; readonly main: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-package-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  // dist/ is built already: the tests of the command need it too.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder, ...quiet], { cwd: repository })
  const [archive] = await readdir(folder)
  const root = join(folder, 'my-router')
  await mkdir(root)
  await run('npm', ['install', join(folder, String(archive)), '--prefer-offline', ...quiet], { cwd: root })
  return { root, main: join(root, 'node_modules/.bin/router') }
}

test('packed, installed elsewhere: init, validate, dev and publish work, and handlers have their types', { timeout: 240_000 }, async () => {
  const { root, main } = await installed()
  expect(await router(['init'], { cwd: root, main })).toMatchObject({ code: 0, stderr: '' })
  const validated = await router(['validate', '--deny-warnings'], { cwd: root, main })
  expect(validated).toEqual({ code: 0, stdout: '1 route file, 2 routes: no problems\n', stderr: '' })

  const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0'], { cwd: root, main })
  await dev.says(/Inspector/)
  const order = '{"order_id": 42, "user_id": 7, "total": 1200}'
  expect(await router(['publish', 'orders', 'order.created', order], { cwd: root, main })).toMatchObject({ code: 0 })
  await dev.says(/writing a receipt/)
  dev.send('SIGINT')
  expect(await dev.ended).toMatchObject({ code: 0 })

  const compiler = join(repository, 'node_modules/typescript/bin/tsc')
  const flags = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node']
  const roots = ['--typeRoots', join(repository, 'node_modules/@types')]
  await run(process.execPath, [compiler, ...flags, ...roots, 'handlers/receipt.ts'], { cwd: root })
})
