import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import { type AskModule, askModule, type FindModule } from './ask-module.ts'
import type { Backplane } from './backplane/backplane.ts'
import { createBackplane } from './backplane/registry.ts'
import { Broadcaster } from './broadcaster.ts'
import { ChannelAnnouncer } from './channel-announcer.ts'
import { ChannelRules } from './channel-rules.ts'
import { AppChannels } from './channels.ts'
import { type AddressOf, addressRule } from './client-address.ts'
import type { ClientMessagesContext } from './client-messages.ts'
import { Connections } from './connections.ts'
import { Counters } from './counters.ts'
import { Delivery } from './delivery.ts'
import { FleetNews } from './fleet-news.ts'
import type { History, HistoryListener } from './history/history.ts'
import { type HealthEndpoints, serveHealth } from './http/health.ts'
import { isLocalRequest } from './http/local-request.ts'
import { PublicEndpoints } from './http/public-endpoints.ts'
import { respondError } from './http/respond.ts'
import type { Hub } from './hub.ts'
import { type ListenAddress, listen } from './listen.ts'
import { type OriginRule, originRule } from './origin.ts'
import { Flusher, type OutboxShared } from './outbox.ts'
import type { RealtimeStats } from './realtime-stats.ts'
import { requestTarget } from './request-target.ts'
import type { ResumeContext } from './resume/resumable.ts'
import { makeResumable } from './resume/resume-messages.ts'
import {
  fixedTimings,
  type HotRealtimeConfig,
  type LiveSettings,
  type RealtimeConfig,
  type RealtimeLog,
  type RealtimeTimings,
  type ResolvedApp,
} from './settings.ts'
import { SocketServer } from './socket-server.ts'
import { TokenVerifier } from './token-verifier.ts'
import { Webhooks } from './webhooks.ts'

/** How long closing one socket may keep the next waiting, in ms: a server with few sockets stops at once. */
const spreadPerSocketMs = 2
/** The part of the grace period over which sockets are closed; what is left of the next part is for their goodbyes. */
const spreadShare = 0.6
/** When sockets that have not said goodbye are cut: the backplane then has time to be told what they leave behind. */
const socketsShare = 0.8

export interface RealtimeEndpoints extends HealthEndpoints {
  /** Further routes of the public port; true where it has taken the request. */
  readonly extra?: (request: IncomingMessage, response: ServerResponse, target: URL) => boolean
}

export interface RealtimeServerOptions {
  readonly config: RealtimeConfig
  readonly log: RealtimeLog
  readonly mode: 'dev' | 'run'
  readonly endpoints: RealtimeEndpoints
  readonly timings?: Partial<RealtimeTimings>
  /** Makes the history; default: that of the backplane. */
  readonly openHistory?: (listener: HistoryListener) => History
  /** Where `authorize` modules are found; asked each time, so that a reload takes effect. */
  readonly findModule?: FindModule
}

export interface RealtimeServer {
  readonly hub: Hub
  /** Rejects with a ListenError. */
  listen(): Promise<ListenAddress & { readonly admin?: ListenAddress }>
  stats(): RealtimeStats
  /** Channels with subscribers on this instance, at most `most` of them. */
  occupied(app: string, most: number): readonly OccupiedChannel[]
  /** Takes what needs no restart for whatever comes from now on; established sockets and their subscriptions stay. */
  updateConfig(config: HotRealtimeConfig): void
  /** Stops accepting, closes the sockets one after the other so that clients reconnect elsewhere, and is done within `graceMs`. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>
}

export interface OccupiedChannel {
  readonly name: string
  readonly subscribers: number
}

export function createRealtimeServer(options: RealtimeServerOptions): RealtimeServer {
  return new PusherServer(options)
}

/** The public port speaks the Pusher protocol and its HTTP API; the admin port, where there is one, health and metrics. */
class PusherServer implements RealtimeServer {
  readonly hub: Broadcaster
  readonly #options: RealtimeServerOptions
  readonly #settings: LiveSettings
  readonly #counters = new Counters()
  readonly #stopping = new AbortController()
  readonly #connections: Connections
  readonly #backplane: Backplane
  readonly #appsById: ReadonlyMap<string, AppChannels>
  readonly #webhooks: ReadonlyMap<AppChannels, Webhooks>
  readonly #history: History
  readonly #resuming: ResumeContext
  readonly #sockets: SocketServer
  readonly #endpoints: PublicEndpoints
  readonly #public: Server
  readonly #admin: Server
  #originAllowed: OriginRule
  #addressOf: AddressOf
  #closed: Promise<void> | undefined

  constructor(options: RealtimeServerOptions) {
    const { config, log, mode } = options
    this.#options = options
    this.#settings = { limits: config.limits, timings: this.#timings(config), rules: new ChannelRules(config.channels) }
    this.#originAllowed = originRule(config.origins, mode)
    this.#addressOf = addressRule(config.trustedProxies)
    const shared = { counters: this.#counters, settings: this.#settings }
    this.#backplane = createBackplane(config.backplane, this.#settings, log)
    const apps = config.apps.map(app => this.#channelsOf(app))
    this.#appsById = new Map(apps.map(app => [app.app.id, app]))
    this.#webhooks = new Map(apps.flatMap(app => this.#webhooksOf(app)))
    this.#connections = new Connections(this.#counters, this.#settings, log)
    const delivery = new Delivery(this.#connections.bySocketId, this.#counters, this.#settings)
    this.#history = this.#openHistory(delivery)
    const news = { delivery, connections: this.#connections }
    for (const app of apps) {
      app.observer = new ChannelAnnouncer(app, this.#settings)
      app.backplane.listen(new FleetNews(app, { ...news, webhooks: this.#webhooks.get(app) }))
    }
    this.#resuming = { ...shared, history: this.#history }
    this.hub = new Broadcaster({ ...shared, apps: this.#appsById, delivery, history: this.#history })
    const outbox: OutboxShared = { ...shared, flusher: new Flusher() }
    const ask = askModule(options.findModule ?? (() => undefined), this.#settings, log)
    const messages = this.#messagesContext(ask)
    const rules = () => ({ originAllowed: this.#originAllowed, addressOf: this.#addressOf })
    const appsByKey = new Map(apps.map(app => [app.app.key, app]))
    this.#sockets = new SocketServer({ ...shared, apps: appsByKey, connections: this.#connections, outbox, messages, rules })
    this.#endpoints = new PublicEndpoints({
      ...shared,
      mode,
      appsById: this.#appsById,
      appsByKey,
      broadcaster: this.hub,
      connections: this.#connections,
      subscribe: messages,
      outbox,
      rules,
      isStopping: () => this.#closed !== undefined,
    })
    this.#public = this.#httpServer((request, response) => this.#servePublic(request, response))
    this.#public.on('upgrade', (request, socket, head) => this.#sockets.upgrade(request, socket, head))
    this.#admin = this.#httpServer((request, response) => this.#serveAdmin(request, response))
  }

  async listen(): Promise<ListenAddress & { readonly admin?: ListenAddress }> {
    const { host, port, admin } = this.#options.config
    await this.#backplane.open()
    const broken = (error: Error): void => this.#options.log.error({ err: error }, 'the listening socket failed')
    const address = await listen(this.#public, { host, port }, 'server.port', broken)
    if (admin === undefined) return address
    try {
      return { ...address, admin: await listen(this.#admin, admin, 'server.admin', broken) }
    } catch (error) {
      this.#public.close()
      throw error
    }
  }

  stats(): RealtimeStats {
    const { closes, refusals, resumeFailures, ...counts } = this.#counters
    let channels = 0
    for (const app of this.#appsById.values()) channels += app.channels.size
    let queuedBytes = 0
    for (const { outbox } of this.#connections.bySocketId.values()) queuedBytes += outbox.queuedBytes
    const gauges = { sockets: this.#connections.bySocketId.size, channels, queuedBytes }
    const reasons = {
      closes: Object.fromEntries(closes),
      refusals: Object.fromEntries(refusals),
      resumeFailures: Object.fromEntries(resumeFailures),
    }
    return { ...gauges, ...counts, backplane: this.#backplane.stats(), history: this.#history.stats(), ...reasons }
  }

  updateConfig(config: HotRealtimeConfig): void {
    this.#settings.limits = config.limits
    this.#settings.timings = this.#timings(config)
    const { historyPatterns } = this.#settings.rules
    this.#settings.rules = new ChannelRules(config.channels)
    this.#originAllowed = originRule(config.origins, this.#options.mode)
    this.#addressOf = addressRule(config.trustedProxies)
    this.#sockets.takeFrameLimit()
    for (const app of this.#appsById.values()) app.takeRules()
    this.#connections.takeRules()
    if (this.#settings.rules.historyPatterns !== historyPatterns) this.#takeHistoryRules()
  }

  /** Clients that keep track do so on channels that have got a history, too; those that have none any more are forgotten. */
  #takeHistoryRules(): void {
    const { rules } = this.#settings
    this.#history.retain((_, channel) => rules.historyOf(channel) !== undefined)
    if (!rules.hasHistory) return
    for (const { tracker, subscriptions } of this.#connections.bySocketId.values()) {
      if (tracker === undefined) continue
      for (const subscription of subscriptions.values()) {
        if (subscription.resumable === undefined) makeResumable(subscription, this.#resuming)?.startNow()
      }
    }
  }

  occupied(app: string, most: number): readonly OccupiedChannel[] {
    const found: OccupiedChannel[] = []
    for (const { name, subscriptions } of this.#appsById.get(app)?.channels.values() ?? []) {
      if (found.length >= most) break
      found.push({ name, subscribers: subscriptions.length })
    }
    return found
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closed ??= this.#close(graceMs)
    return this.#closed
  }

  async #close(graceMs: number): Promise<void> {
    this.#sockets.stopAccepting()
    // Clients whose token could not be checked by now try elsewhere.
    this.#stopping.abort()
    const stopped = [this.#public, this.#admin].map(stopListening)
    const endsAt = performance.now() + graceMs
    const spreadMs = Math.min(graceMs * spreadShare, this.#connections.bySocketId.size * spreadPerSocketMs)
    const told = [...this.#webhooks.values()].map(webhooks => webhooks.close(graceMs))
    await this.#connections.close({ graceMs: graceMs * socketsShare, spreadMs })
    await this.#backplane.close(Math.max(0, endsAt - performance.now()))
    await Promise.all(told)
    await this.#history.close()
    this.#sockets.close()
    this.#public.closeAllConnections()
    this.#admin.closeAllConnections()
    await Promise.all(stopped)
  }

  #timings({ timeouts }: Pick<RealtimeConfig, 'timeouts'>): RealtimeTimings {
    return { ...fixedTimings, ...timeouts, ...this.#options.timings }
  }

  #channelsOf(app: ResolvedApp): AppChannels {
    const tokens = app.jwt === undefined ? undefined : new TokenVerifier(app.jwt, this.#options.log, this.#stopping.signal)
    return new AppChannels(app, this.#backplane, this.#counters, this.#settings, tokens)
  }

  #webhooksOf(app: AppChannels): readonly (readonly [AppChannels, Webhooks])[] {
    const { webhooks } = app.app
    if (webhooks === undefined) return []
    return [[app, new Webhooks(app.app, webhooks, this.#counters, this.#settings, this.#options.log)]]
  }

  #openHistory(delivery: Delivery): History {
    const listener = this.#historyListener(delivery)
    const { openHistory } = this.#options
    return openHistory === undefined ? this.#backplane.openHistory(listener) : openHistory(listener)
  }

  #historyListener(delivery: Delivery): HistoryListener {
    return {
      deliver: (appId, channel, event, except) => {
        const app = this.#appsById.get(appId)
        if (app !== undefined) delivery.deliver(app, channel, event, except)
      },
      lost: (appId, name, at, why) => {
        const channel = this.#appsById.get(appId)?.channels.get(name)
        if (channel === undefined) return
        channel.latest = at
        for (const { resumable } of channel.subscriptions) resumable?.lose(at, why)
      },
    }
  }

  #messagesContext(ask: AskModule): ClientMessagesContext {
    return {
      counters: this.#counters,
      settings: this.#settings,
      resuming: this.#resuming,
      broadcaster: this.hub,
      askModule: ask,
      end: (connection, reason, code, message) => this.#connections.end(connection, reason, code, message),
      cacheMissed: ({ app }, { name }) => this.#webhooks.get(app)?.cacheMissed(name),
      clientEventSent: ({ app, socketId, subscriptions }, { name }, event, data) => {
        const userId = subscriptions.get(name)?.member?.userId
        this.#webhooks.get(app)?.clientEvent({ channel: name, event, data, socketId, userId })
      },
    }
  }

  async #servePublic(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { endpoints, config } = this.#options
    const target = requestTarget(request)
    if (target === undefined) return respondError(response, 400, 'The request target is not a path')
    const metricsAllowed = config.admin === undefined && isLocalRequest(request)
    if (await serveHealth(request, response, target.pathname, endpoints, metricsAllowed)) return
    if (await this.#endpoints.serve(request, response, target)) return
    if (endpoints.extra?.(request, response, target) !== true) respondError(response, 404, 'There is nothing here')
  }

  async #serveAdmin(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = requestTarget(request)
    if (target !== undefined && (await serveHealth(request, response, target.pathname, this.#options.endpoints, true))) return
    respondError(response, 404, 'There is nothing here')
  }

  #httpServer(serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Server {
    return httpServer((request, response) => {
      serve(request, response).catch((error: unknown) => {
        this.#options.log.error({ err: error, path: request.url?.split('?', 1)[0] }, 'a request failed')
        respondError(response, 500, 'The request failed')
      })
    })
  }
}

function httpServer(listener: RequestListener): Server {
  return createServer({ headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 65_000, maxHeaderSize: 16 * 1024 }, listener)
}

function stopListening(server: Server): Promise<void> {
  return server.listening ? new Promise(resolve => server.close(() => resolve())) : Promise.resolve()
}
