import { isDeepStrictEqual } from 'node:util'
import type { RouterConfig } from '../config/router-config.ts'

/** router.yaml as far as a running router can take it over, and the keys whose change has to wait for a restart. */
export interface AppliedConfig {
  readonly config: RouterConfig
  readonly waiting: readonly string[]
}

/** Keeps what only a restart can change (DESIGN: name, ports, apps, brokers in use) as it was when the router started. */
export function keepFrozen(started: RouterConfig, edited: RouterConfig): AppliedConfig {
  const waiting: string[] = []
  if (edited.name !== started.name) waiting.push('name')
  if (edited.server.host !== started.server.host || edited.server.port !== started.server.port) waiting.push('server.port')
  if (!isDeepStrictEqual(edited.server.admin, started.server.admin)) waiting.push('server.admin')
  if (!isDeepStrictEqual(edited.server.apps, started.server.apps)) waiting.push('server.apps')
  const changedBrokers = Object.keys(started.brokers).filter(
    name => Object.hasOwn(edited.brokers, name) && !isDeepStrictEqual(edited.brokers[name], started.brokers[name]),
  )
  waiting.push(...changedBrokers.map(name => `brokers.${name}`))
  if (!isDeepStrictEqual(edited.backplane, started.backplane)) waiting.push('backplane')
  const { ttlMs, ...store } = edited.idempotency
  const { ttlMs: _, ...startedStore } = started.idempotency
  if (!isDeepStrictEqual(store, startedStore)) waiting.push('idempotency')
  const keptBrokers = Object.fromEntries(Object.entries(edited.brokers).map(([name, broker]) => [name, started.brokers[name] ?? broker]))
  const { host, port, admin, apps } = started.server
  return {
    config: {
      ...edited,
      name: started.name,
      brokers: keptBrokers,
      server: { ...edited.server, host, port, admin, apps },
      backplane: started.backplane,
      idempotency: { ...started.idempotency, ttlMs },
    },
    waiting,
  }
}
