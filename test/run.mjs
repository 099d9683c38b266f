// `npm test`: installs what is missing, builds, and runs every check and every test. Plain Node, since there may be no packages yet.
//   npm test                     everything
//   npm test -- cli              only test files with "cli" in their path, without the checks
//   npm run check                only the checks
// The last line is `N passed, N failed`: checks and tests together. With CI=true a skipped test is a failed one.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { needsInstall } from '../.ci/freshness.mjs'
import { endAllCommands, runCommand } from './run/children.mjs'
import { conformanceFaults } from './run/conformance.mjs'
import { checkPackageContent } from './run/package-content.mjs'
import { installSystemPackages } from './run/system-packages.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const total = { passed: 0, failed: 0 }
const vitestLimitMs = 20 * 60_000

let interrupted = false
for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, async () => {
    if (interrupted) return
    interrupted = true
    await endAllCommands()
    finish(exitCode)
  })
}

await main(process.argv.slice(2))
if (!interrupted) finish(total.failed === 0 ? 0 : 1)

async function main(args) {
  const onlyChecks = args.includes('--only-checks')
  const filters = args.filter(argument => argument !== '--only-checks')
  if (needsInstall(root) && !(await step('npm ci', () => runCommand('npm', ['ci'], { cwd: root })))) return
  if (!(await step('build', () => node('.ci/build.mjs', '--if-stale')))) return
  if (filters.length === 0) await runChecks()
  if (onlyChecks || interrupted) return
  await installSystemPackages(say)
  if (!interrupted) await runTests(filters)
}

async function runChecks() {
  await step('lock file for every platform', () => node('.ci/complete-lock.mjs', '--check'))
  await step('types (tsc)', () => node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'))
  await step('style (biome)', () => node('node_modules/@biomejs/biome/bin/biome', 'ci', '--colors=off'))
  await step('unused code and packages (knip)', () => node('node_modules/knip/bin/knip.js', '--no-progress'))
  // Without --pack it would run `npm pack`, and with that the build.
  await step('package manifest (publint)', () => node('node_modules/publint/src/cli.js', 'run', '--strict', '--pack', 'false'))
  await step('package content (npm pack)', () => checkPackageContent(root))
}

/** Runs vitest, which prints by itself; its reporter counts. */
async function runTests(filters) {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-test-'))
  const report = join(folder, 'report.json')
  try {
    say('')
    const reporters = ['--reporter=default', `--reporter=${join(root, 'test/run/count-reporter.mjs')}`]
    // Files that tests leave behind go away with the folder, also when the run is interrupted.
    const env = { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }), SIGNALBOX_TEST_REPORT: report, TMPDIR: folder }
    const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...filters]
    const { ok, output } = await runCommand(process.execPath, args, { cwd: root, env, show: true, limitMs: vitestLimitMs })
    if (interrupted) return
    if (output !== '') say(output)
    const counted = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined
    countTests(counted, ok)
    if (filters.length === 0 && counted !== undefined) await step("README's counts of conformance cases", () => checkConformance(counted))
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

function countTests(report, ok) {
  const { passed, failed, skipped } = report ?? { passed: 0, failed: 0, skipped: [] }
  total.passed += passed
  total.failed += failed
  if (!ok && failed === 0) {
    total.failed++
    say('FAIL  the test runner ended with an error')
  }
  if (skipped.length === 0) return
  const skipsFail = (process.env.CI ?? '') !== '' && process.env.CI !== 'false'
  if (skipsFail) total.failed += skipped.length
  say(`Skipped${skipsFail ? ', which fails in CI' : ''}:`)
  for (const { name, reason } of skipped) say(`  ${name}${reason === undefined ? '' : ` (${reason})`}`)
}

async function checkConformance({ casesByFile }) {
  const faults = conformanceFaults(root, casesByFile)
  return { ok: faults.length === 0, output: faults.join('\n'), seconds: 0 }
}

/** One thing that passes or fails; prints what a failing one had to say. */
async function step(name, run) {
  if (interrupted) return false
  const { ok, output, seconds } = await run()
  if (interrupted) return false
  if (ok) total.passed++
  else total.failed++
  say(`${ok ? 'ok  ' : 'FAIL'}  ${name} (${seconds.toFixed(1)} s)`)
  if (!ok && output !== '') say(output.replaceAll(/^/gm, '      '))
  return ok
}

function node(script, ...args) {
  return runCommand(process.execPath, [join(root, script), ...args], { cwd: root })
}

function say(text) {
  process.stdout.write(`${text}\n`)
}

function finish(exitCode) {
  say(`${total.passed} passed, ${total.failed} failed`)
  process.exit(exitCode)
}
