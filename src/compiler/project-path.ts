import { posix } from 'node:path'

/** `../schemas/a.json` written in `routes/orders.yaml` is `schemas/a.json`. Undefined where it leads out of the project. */
export function resolveInProject(file: string, written: string): string | undefined {
  if (written === '' || written.startsWith('/') || /[\\\0]|^[A-Za-z]:/.test(written)) return undefined
  const resolved = posix.normalize(posix.join(posix.dirname(file), written))
  return resolved === '.' || resolved === '..' || resolved.startsWith('../') ? undefined : resolved
}
