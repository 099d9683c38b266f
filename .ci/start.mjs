// `npm start` in a fresh checkout: installs, builds, and runs the shop of this repository in `router dev` with sample events.
// Plain Node without any package, since there may be none yet.
import { spawn, spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needsBuild, needsInstall } from './freshness.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

if (needsInstall(root)) step('Installing packages (npm ci)', 'npm', ['ci'])
if (needsBuild(root)) step('Building', process.execPath, [join(root, '.ci/build.mjs')])
startRouter()

function step(title, command, args) {
  process.stderr.write(`${title} ...\n`)
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (signal !== null) process.exit(130)
  if (error !== undefined || status !== 0) {
    process.stderr.write(`${title}: did not work${error === undefined ? '' : ` (${error.message})`}\n`)
    process.exit(1)
  }
}

function startRouter() {
  const args = [join(root, 'dist/cli/main.js'), 'dev', '--project', root, '--samples', join(root, 'examples/shop/sample-events.ts')]
  const router = spawn(process.execPath, [...args, ...process.argv.slice(2)], { stdio: 'inherit' })
  // Whoever sends the signal to this process alone means the router; a terminal sends it to both, and the router takes two at once for one.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => router.kill(signal))
  router.on('exit', code => {
    process.exitCode = code ?? 1
  })
}
