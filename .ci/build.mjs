// Compiles src/ into dist/. With --if-stale it does nothing while dist/ is newer than src/.
// The new build takes the place of the old one only when it is whole: a router that runs from dist/ never sees half of one.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, renameSync, rmSync, utimesSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needsBuild } from './freshness.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
if (!process.argv.includes('--if-stale') || needsBuild(root)) process.exitCode = build()

function build() {
  // Also what changes while the compiler runs makes this build old.
  const startedAt = new Date()
  const fresh = join(root, `dist-${process.pid}`)
  const old = join(root, `dist-${process.pid}-old`)
  try {
    const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
    const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'src'), '--outDir', fresh], { stdio: 'inherit' })
    if (status !== 0) return status ?? 1
    // The inspector's page is plain JavaScript, HTML and CSS, which the compiler leaves where it is.
    cpSync(join(root, 'src/inspector/page'), join(fresh, 'inspector/page'), { recursive: true })
    const main = join(fresh, 'cli/main.js')
    chmodSync(main, 0o755)
    utimesSync(main, startedAt, startedAt)
    const dist = join(root, 'dist')
    if (existsSync(dist)) renameSync(dist, old)
    renameSync(fresh, dist)
    return 0
  } finally {
    rmSync(fresh, { recursive: true, force: true })
    rmSync(old, { recursive: true, force: true })
  }
}
