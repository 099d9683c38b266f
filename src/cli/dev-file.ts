import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** How a command in a second terminal reaches the router that `router dev` runs. */
export interface DevAccess {
  /** Base address of the inspector, on loopback. */
  readonly url: string
  /** Bearer token of its API. */
  readonly token: string
}

/** Writes `.signalbox/dev.json` for this user's eyes only. Returns what removes it, unless a later `router dev` has put its own there. */
export function writeDevFile(root: string, access: DevAccess): () => void {
  const folder = join(root, '.signalbox')
  const file = devFile(root)
  mkdirSync(folder, { recursive: true })
  // A new file each time: an old one would keep its mode, and a reader never sees half a file.
  const fresh = `${file}.${process.pid}`
  rmSync(fresh, { force: true })
  writeFileSync(fresh, `${JSON.stringify({ ...access, pid: process.pid }, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  renameSync(fresh, file)
  return () => {
    if (readDevFile(root)?.token === access.token) rmSync(file, { force: true })
  }
}

/** Undefined where no `router dev` has left its address, or what is there cannot be used. */
export function readDevFile(root: string): DevAccess | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(devFile(root), 'utf8'))
    if (typeof content !== 'object' || content === null || !('url' in content) || !('token' in content)) return undefined
    const { url, token } = content
    if (typeof url !== 'string' || typeof token !== 'string' || new URL(url).hostname !== '127.0.0.1') return undefined
    return { url, token }
  } catch {
    return undefined
  }
}

function devFile(root: string): string {
  return join(root, '.signalbox', 'dev.json')
}
