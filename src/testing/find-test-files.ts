import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** `*.test.yaml` files below a folder or the file itself, relative to the root, with forward slashes, sorted. Undefined where there is neither. */
export function findTestFiles(root: string, path: string): readonly string[] | undefined {
  const stats = statSync(join(root, path), { throwIfNoEntry: false })
  if (stats === undefined) return undefined
  if (!stats.isDirectory()) return [path]
  const entries = readdirSync(join(root, path), { withFileTypes: true }).filter(({ name }) => !/^[._]|^node_modules$/.test(name))
  const prefix = path === '' || path === '.' ? '' : `${path.replace(/\/$/, '')}/`
  return entries
    .flatMap(entry => {
      if (entry.isDirectory()) return findTestFiles(root, `${prefix}${entry.name}`) ?? []
      return entry.isFile() && /\.test\.(?:ya?ml|json)$/.test(entry.name) ? [`${prefix}${entry.name}`] : []
    })
    .sort()
}
