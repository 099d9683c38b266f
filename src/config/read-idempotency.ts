import type { Problem } from '../diagnostics/problem.ts'
import type { ConfigReader } from './config-reader.ts'
import type { IdempotencyConfig } from './router-config.ts'
import { problemAt } from './source-document.ts'

/** Shorter than this a lease could run out between two turns of a busy process, in ms. */
const shortestLeaseMs = 100

/** `idempotency:` of router.yaml with its defaults. */
export function readIdempotency(reader: ConfigReader, problems: Problem[]): IdempotencyConfig {
  const key = 'idempotency'
  const store = reader.text([key, 'store']) ?? 'level'
  const url = reader.text([key, 'url'])
  const shared = { ttlMs: reader.duration([key, 'ttl'], 86_400_000), leaseMs: reader.duration([key, 'lease'], 30_000) }
  const { document } = reader
  const report = (name: string, code: 'schema-missing-key' | 'schema-value', message: string, hint: string) => {
    const path = reader.value([key, name]) === undefined ? [key] : [key, name]
    if (document?.isSound(path)) problems.push(problemAt(document, path, code, message, { hint, range: document.keyRangeOf(path) }))
  }
  if (shared.leaseMs < shortestLeaseMs)
    report('lease', 'schema-value', 'A lease is at least 100ms', 'Leave it out for 30s: a crashed instance holds its keys that long')
  if (store === 'redis' && url === undefined && reader.value([key, 'url']) === undefined)
    report('url', 'schema-missing-key', '`store: redis` needs its `url`', 'Write `url: "${REDIS_URL:-redis://localhost:6379}"`')
  for (const [name, owner] of [
    ['url', 'redis'],
    ['path', 'level'],
  ] as const)
    if (store !== owner && reader.value([key, name]) !== undefined)
      report(name, 'schema-value', `\`${name}\` belongs to \`store: ${owner}\``, `Remove it, or write \`store: ${owner}\``)
  if (store === 'memory') return { store, ...shared }
  if (store === 'redis') return { store, url: url ?? 'redis://localhost:6379', ...shared }
  return { store: 'level', path: reader.text([key, 'path']) ?? '.signalbox', ...shared }
}
