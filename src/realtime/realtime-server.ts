import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { Broadcaster } from './broadcaster.ts'
import { AppChannels } from './channels.ts'
import type { Connection } from './connection.ts'
import { Counters, type RealtimeStats } from './counters.ts'
import { authPaths, type DevAuthContext, serveDevAuth } from './http/dev-auth.ts'
import { type EventsApiContext, serveEvents } from './http/events-api.ts'
import { type HealthEndpoints, serveHealth } from './http/health.ts'
import { isLocalRequest } from './http/local-request.ts'
import { respondError } from './http/respond.ts'
import type { Hub } from './hub.ts'
import { type ListenAddress, listen } from './listen.ts'
import { originRule } from './origin.ts'
import { requestTarget } from './request-target.ts'
import {
  defaultTimings,
  type HotRealtimeConfig,
  type LiveSettings,
  type RealtimeConfig,
  type RealtimeLog,
  type RealtimeTimings,
} from './settings.ts'
import { SocketServer } from './socket-server.ts'

/** How long closing one socket may keep the next waiting, in ms: a server with few sockets stops at once. */
const spreadPerSocketMs = 2
/** The part of the grace period over which sockets are closed; the rest is for their goodbyes. */
const spreadShare = 0.6

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
}

export interface RealtimeServer {
  readonly hub: Hub
  /** Rejects with a ListenError. */
  listen(): Promise<ListenAddress & { readonly admin?: ListenAddress }>
  stats(): RealtimeStats
  /** Takes origins and limits for what comes from now on; established sockets stay. */
  updateConfig(config: HotRealtimeConfig): void
  /** Stops accepting, closes the sockets one after the other so that clients reconnect elsewhere, and is done within `graceMs`. Idempotent. */
  close(options: { readonly graceMs: number }): Promise<void>
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
  readonly #connections = new Map<string, Connection>()
  readonly #appsById: ReadonlyMap<string, AppChannels>
  readonly #sockets: SocketServer
  readonly #public: Server
  readonly #admin: Server
  #closed: Promise<void> | undefined

  constructor(options: RealtimeServerOptions) {
    const { config, log, mode } = options
    const apps = config.apps.map(app => new AppChannels(app, this.#counters))
    this.#options = options
    this.#settings = { limits: config.limits }
    this.#appsById = new Map(apps.map(app => [app.app.id, app]))
    const shared = { connections: this.#connections, counters: this.#counters, settings: this.#settings }
    this.hub = new Broadcaster({ ...shared, apps: this.#appsById })
    this.#sockets = new SocketServer({
      ...shared,
      apps: new Map(apps.map(app => [app.app.key, app])),
      timings: { ...defaultTimings, ...options.timings },
      originAllowed: originRule(config.origins, mode),
      log,
    })
    this.#public = this.#httpServer((request, response) => this.#servePublic(request, response))
    this.#public.on('upgrade', (request, socket, head) => this.#sockets.upgrade(request, socket, head))
    this.#admin = this.#httpServer((request, response) => this.#serveAdmin(request, response))
  }

  async listen(): Promise<ListenAddress & { readonly admin?: ListenAddress }> {
    const { host, port, admin } = this.#options.config
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
    const { framesOut, bytesOut, broadcasts, subscriptions, closes, refusals } = this.#counters
    let channels = 0
    for (const app of this.#appsById.values()) channels += app.channels.size
    let queuedBytes = 0
    for (const { outbox } of this.#connections.values()) queuedBytes += outbox.queuedBytes
    return {
      sockets: this.#connections.size,
      subscriptions,
      channels,
      queuedBytes,
      framesOut,
      bytesOut,
      broadcasts,
      closes: Object.fromEntries(closes),
      refusals: Object.fromEntries(refusals),
    }
  }

  updateConfig({ origins, limits }: HotRealtimeConfig): void {
    this.#settings.limits = limits
    this.#sockets.originAllowed = originRule(origins, this.#options.mode)
    this.#sockets.takeFrameLimit()
  }

  close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    this.#closed ??= this.#close(graceMs)
    return this.#closed
  }

  async #close(graceMs: number): Promise<void> {
    this.#sockets.stopAccepting()
    const stopped = [this.#public, this.#admin].map(stopListening)
    await this.#sockets.close({ graceMs, spreadMs: Math.min(graceMs * spreadShare, this.#connections.size * spreadPerSocketMs) })
    this.#public.closeAllConnections()
    this.#admin.closeAllConnections()
    await Promise.all(stopped)
  }

  async #servePublic(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { endpoints, config, mode } = this.#options
    const target = requestTarget(request)
    if (target === undefined) return respondError(response, 400, 'The request target is not a path')
    const metricsAllowed = config.admin === undefined && isLocalRequest(request)
    if (await serveHealth(request, response, target.pathname, endpoints, metricsAllowed)) return
    const appId = /^\/apps\/([^/]+)\/events$/.exec(target.pathname)?.[1]
    if (appId !== undefined && request.method === 'POST') return serveEvents(request, response, target, appId, this.#apiContext())
    if (mode === 'dev' && authPaths.has(target.pathname)) return serveDevAuth(request, response, this.#devAuthContext())
    if (endpoints.extra?.(request, response, target) !== true) respondError(response, 404, 'There is nothing here')
  }

  async #serveAdmin(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = requestTarget(request)
    if (target !== undefined && (await serveHealth(request, response, target.pathname, this.#options.endpoints, true))) return
    respondError(response, 404, 'There is nothing here')
  }

  #apiContext(): EventsApiContext {
    return { apps: this.#appsById, broadcaster: this.hub, counters: this.#counters, settings: this.#settings }
  }

  #devAuthContext(): DevAuthContext {
    return { connections: this.#connections, settings: this.#settings, originAllowed: this.#sockets.originAllowed }
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
