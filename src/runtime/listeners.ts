import { randomBytes } from 'node:crypto'
import type { AppConfig, RouterConfig } from '../config/router-config.ts'
import { createInspector, type Inspector, InspectorError } from '../inspector/inspector.ts'
import { createMetrics } from '../observe/metrics.ts'
import { ListenError } from '../realtime/listen.ts'
import { createRealtimeServer, type RealtimeServer } from '../realtime/realtime-server.ts'
import type { ResolvedApp } from '../realtime/settings.ts'
import { type BrokerSet, eventRecord, rawRecord } from './broker-set.ts'
import type { Generations } from './generations.ts'
import type { RouterAddress, RouterOptions } from './router-options.ts'
import { snapshotOf } from './snapshots.ts'
import { StartError } from './start-error.ts'
import type { SubscriptionRunner } from './subscription-runner.ts'

/** What others connect to. */
export interface Listeners {
  readonly server: RealtimeServer
  readonly inspector: Inspector | undefined
}

/** What they show of the router. */
export interface ListenersOptions {
  readonly config: RouterConfig
  readonly options: RouterOptions
  /** One broker in this process answers to every name. */
  readonly isEmbedded: boolean
  readonly brokers: BrokerSet
  /** Does something while the router reads nothing in a group. */
  whileStopped(group: string, work: () => Promise<void>): Promise<void>
  readonly generations: Generations
  runners(): Iterable<SubscriptionRunner>
  reloads(): { readonly applied: number; readonly rejected: number }
  /** Joined once, and not stopping. */
  isReady(): boolean
  /** Where the router listens, once it does. */
  address(): RouterAddress
  secrets(): readonly string[]
  learnSecrets(secrets: readonly string[]): void
}

export function createListeners(options: ListenersOptions): Listeners {
  const server = createServer(options)
  return { server, inspector: createPage(options, server) }
}

/** Rejects with StartError where a port cannot be had; what listens already is the caller's to close. */
export async function listen({ server, inspector }: Listeners): Promise<RouterAddress> {
  try {
    const address = await server.listen()
    if (inspector === undefined) return address
    const { port } = await inspector.listen()
    return { ...address, inspector: { host: '127.0.0.1', port } }
  } catch (error) {
    if (error instanceof ListenError || error instanceof InspectorError)
      throw new StartError(error.code === 'port-in-use' ? 'port-in-use' : 'cannot-listen', error.message, {
        hint: error.hint,
        cause: error,
      })
    throw error
  }
}

function createServer(of: ListenersOptions): RealtimeServer {
  const { config, options, generations } = of
  const { log, mode } = options
  const generation = () => generations.current?.number ?? 0
  const metrics = createMetrics({
    subscriptions: () => [...of.runners()].map(snapshotOf),
    realtime: () => server.stats(),
    reloads: () => ({ ...of.reloads(), generation: generation() }),
  })
  const server: RealtimeServer = createRealtimeServer({
    config: {
      ...config.server,
      apps: resolveApps(config.server.apps, of),
      channels: config.channels,
      // What an embedded broker holds is this process's own, and so is whoever listens.
      backplane: of.isEmbedded ? { type: 'local' } : config.backplane,
    },
    log,
    mode,
    findModule: generations.findAuthorize,
    endpoints: {
      ready: () => ({ ok: of.isReady(), body: { ready: of.isReady(), generation: generation(), subscriptions: readiness(of.runners()) } }),
      metrics: async () => ({ contentType: metrics.contentType, body: await metrics.text() }),
    },
  })
  return server
}

function createPage(of: ListenersOptions, server: RealtimeServer): Inspector | undefined {
  const { config, options, brokers, generations } = of
  const { inspector, log } = options
  if (inspector === undefined) return undefined
  const apps = config.server.apps.map(({ id }) => id)
  return createInspector({
    host: '127.0.0.1',
    port: inspector.port,
    token: inspector.token,
    isGuarded: inspector.isGuarded,
    log,
    current: () => ({
      app: config.name,
      generation: generations.current?.number ?? 0,
      plan: generations.current?.plan ?? { subscriptions: [] },
    }),
    channels: most => apps.flatMap(app => server.occupied(app, most)).slice(0, most),
    realtime: () => whereBrowsersConnect(of),
    secrets: () => of.secrets(),
    onNews: inspector.onNews,
    embedded: of.isEmbedded ? { broker: brokers.get(config.broker, config), whileStopped: of.whileStopped } : undefined,
    publish: request => {
      const record = 'raw' in request ? rawRecord(request) : eventRecord(request)
      return brokers.get(config.broker, generations.current?.project.router ?? config).produce(record)
    },
  })
}

/** In production nobody but users listens. */
function whereBrowsersConnect({ config, options, address }: ListenersOptions): { readonly key: string; readonly port: number } | undefined {
  const [app] = config.server.apps
  return options.mode === 'dev' && app !== undefined ? { key: app.key, port: address().port } : undefined
}

/** In `dev` a missing secret is made up; in `run` the configuration check has refused it already. */
function resolveApps(apps: readonly AppConfig[], { options: { log }, learnSecrets }: ListenersOptions): readonly ResolvedApp[] {
  return apps.map(app => {
    if (app.secret !== undefined) return { ...app, secret: app.secret }
    const secret = randomBytes(16).toString('hex')
    learnSecrets([secret])
    log.warn({ app: app.id }, 'the app has no secret: one was made up for this run')
    return { ...app, secret }
  })
}

function readiness(runners: Iterable<SubscriptionRunner>): readonly object[] {
  return [...runners].map(({ processor, joined, connected }) => ({
    name: processor.plan.name,
    group: processor.plan.group,
    joined,
    connected,
    partitions: [...processor.assignments].length,
    lag: [...processor.assignments].reduce((sum, assignment) => sum + assignment.lag, 0),
  }))
}
