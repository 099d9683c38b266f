import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Newest change of a file or of anything in a folder, in epoch milliseconds; 0 where it does not exist. */
export function newestChange(path) {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return 0
  if (!found.isDirectory()) return found.mtimeMs
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestChange(join(path, name))), found.mtimeMs)
}

/** True where the packages in node_modules are missing or not those of the lock file. */
export function needsInstall(root) {
  const lock = join(root, 'package-lock.json')
  // npm writes this file last, when everything is in place.
  const marker = join(root, 'node_modules/.package-lock.json')
  if (newestChange(marker) === 0) return true
  return newestChange(marker) < newestChange(lock) && !holdsSamePackages(lock, marker)
}

/** A lock file that is only newer, as after a checkout, is no reason to install again. Optional packages may be for other platforms. */
function holdsSamePackages(lock, marker) {
  const { packages: wanted } = JSON.parse(readFileSync(lock, 'utf8'))
  const { packages: installed } = JSON.parse(readFileSync(marker, 'utf8'))
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || installed[path]?.version === version || (optional === true && installed[path] === undefined),
  )
}

/** True where the build is missing or older than what it is made of. */
export function needsBuild(root) {
  const built = newestChange(join(root, 'dist/cli/main.js'))
  const inputs = ['src', 'tsconfig.json', 'package.json', '.ci/build.mjs'].map(input => newestChange(join(root, input)))
  return built < Math.max(...inputs)
}
