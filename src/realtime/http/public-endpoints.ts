import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Broadcaster } from '../broadcaster.ts'
import type { AppChannels } from '../channels.ts'
import type { AddressOf } from '../client-address.ts'
import type { Connections } from '../connections.ts'
import type { Counters } from '../counters.ts'
import type { OriginRule } from '../origin.ts'
import type { OutboxShared } from '../outbox.ts'
import type { LiveSettings } from '../settings.ts'
import type { SubscribeContext } from '../subscribe.ts'
import { serveApi } from './api.ts'
import { authPaths, serveAuth } from './auth-endpoint.ts'
import { eventStreamPath, serveEventStream } from './event-stream.ts'

export interface PublicEndpointsOptions {
  readonly mode: 'dev' | 'run'
  readonly appsById: ReadonlyMap<string, AppChannels>
  readonly appsByKey: ReadonlyMap<string, AppChannels>
  readonly broadcaster: Broadcaster
  readonly connections: Connections
  readonly counters: Counters
  readonly settings: LiveSettings
  readonly subscribe: SubscribeContext
  readonly outbox: OutboxShared
  readonly rules: () => { readonly originAllowed: OriginRule; readonly addressOf: AddressOf }
  readonly isStopping: () => boolean
}

/** What the public port answers to plain HTTP, beside health: the HTTP API, the authorisation endpoints, event streams. */
export class PublicEndpoints {
  readonly #options: PublicEndpointsOptions

  constructor(options: PublicEndpointsOptions) {
    this.#options = options
  }

  /** False where the path is none of these. */
  async serve(request: IncomingMessage, response: ServerResponse, target: URL): Promise<boolean> {
    const { mode, settings, appsById: apps, connections, subscribe } = this.#options
    if (await serveApi(request, response, target, { ...this.#options, apps })) return true
    if (authPaths.has(target.pathname) && (mode === 'dev' || settings.rules.hasModules)) {
      const { originAllowed } = this.#options.rules()
      const context = {
        ...this.#options,
        apps: this.#options.appsByKey,
        connections: connections.bySocketId,
        originAllowed,
        askModule: subscribe.askModule,
      }
      await serveAuth(request, response, target, context)
      return true
    }
    if (target.pathname !== eventStreamPath) return false
    const { appsByKey, outbox, isStopping, rules } = this.#options
    await serveEventStream(request, response, target, { ...subscribe, apps: appsByKey, connections, outbox, isStopping, ...rules() })
    return true
  }
}
