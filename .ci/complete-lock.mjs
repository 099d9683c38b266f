// Optional packages for other platforms belong into the lock file too: where one is left out, `npm ci` refuses to install anything.
// npm leaves out those it could not ask a registry about (https://github.com/npm/cli/issues/4828). This adds them;
// with --check it only says which are missing.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const file =
  process.argv.slice(2).find(argument => !argument.startsWith('-')) ?? fileURLToPath(new URL('../package-lock.json', import.meta.url))
const lock = JSON.parse(readFileSync(file, 'utf8'))
const missing = missingPackages(lock.packages)

if (process.argv.includes('--check')) {
  if (missing.length > 0) {
    console.error(`${missing.map(({ name }) => `${name} is missing from the lock file`).join('\n')}\nnode .ci/complete-lock.mjs adds them`)
    process.exitCode = 1
  }
} else if (missing.length > 0) {
  for (const { name, version, parent } of missing) lock.packages[`node_modules/${name}`] = entryOf(name, version, parent)
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`added ${missing.length} packages for other platforms`)
}

function missingPackages(packages) {
  return Object.entries(packages).flatMap(([path, parent]) =>
    Object.entries(parent.optionalDependencies ?? {})
      .filter(([name]) => packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined)
      .map(([name, version]) => ({ name, version, parent })),
  )
}

/** What npm needs to know to pass over the package elsewhere: its name ends in `<os>-<cpu>` or `<os>-<cpu>-<libc>`. */
function entryOf(name, version, { dev, license }) {
  const [, os, cpu, abi = ''] = /-(android|darwin|freebsd|linux|openharmony|win32)-([a-z0-9]+)(?:-([a-z]+))?$/.exec(name) ?? []
  if (os === undefined) throw new Error(`${name} does not say which platform it is for`)
  const libc = abi.startsWith('musl') ? ['musl'] : ['glibc']
  return {
    version,
    cpu: [cpu],
    ...(dev === true ? { dev } : {}),
    ...(os === 'linux' ? { libc } : {}),
    ...(license === undefined ? {} : { license }),
    optional: true,
    os: [os],
  }
}
