import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { readRouterConfig } from '../../src/config/read-router-config.ts'
import type { BackplaneConfig, ChannelRule, ServerLimits } from '../../src/config/router-config.ts'
import { createRealtimeServer, type RealtimeServer, type RealtimeServerOptions } from '../../src/realtime/realtime-server.ts'
import type { HotRealtimeConfig, ResolvedApp } from '../../src/realtime/settings.ts'
import { channelAuth, userAuth } from '../../src/realtime/signature.ts'

const require = createRequire(import.meta.url)
/** pusher-js's build for Node is CommonJS, while its types describe an ES module. */
export const PusherClient: typeof import('pusher-js').default = require('pusher-js')
export type PusherClient = import('pusher-js').default

export const app: ResolvedApp = { id: 'shop', key: 'shop-key', secret: 'shop-secret' }

export const defaults = readRouterConfig('/shop', undefined, 'dev', () => false).config.server
const limits: ServerLimits = { ...defaults.limits, channels: 100, connections: 1_000 }

export type ServerSetup = Partial<Pick<RealtimeServerOptions, 'mode' | 'timings' | 'findModule' | 'openHistory'>> & {
  readonly limits?: Partial<ServerLimits>
  readonly origins?: readonly string[]
  readonly apps?: readonly ResolvedApp[]
  readonly channels?: Readonly<Record<string, Partial<ChannelRule>>>
  readonly trustedProxies?: readonly string[]
  readonly backplane?: BackplaneConfig
  readonly admin?: { readonly host: string; readonly port: number }
  readonly endpoints?: Partial<RealtimeServerOptions['endpoints']>
  readonly log?: RealtimeServerOptions['log']
}

export const silentLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export function makeServer(setup: ServerSetup = {}, port = 0): RealtimeServer {
  return createRealtimeServer({
    config: {
      ...defaults,
      host: '127.0.0.1',
      port,
      admin: setup.admin,
      apps: setup.apps ?? [app],
      origins: setup.origins,
      limits: { ...limits, ...setup.limits },
      trustedProxies: setup.trustedProxies ?? [],
      channels: channelRules(setup.channels ?? {}),
      backplane: setup.backplane ?? { type: 'local' },
    },
    log: setup.log ?? silentLog,
    mode: setup.mode ?? 'run',
    endpoints: {
      ready: () => ({ ok: true, body: { status: 'ready' } }),
      metrics: async () => ({ contentType: 'text/plain', body: 'signalbox_up 1\n' }),
      ...setup.endpoints,
    },
    ...(setup.timings === undefined ? {} : { timings: setup.timings }),
    ...(setup.findModule === undefined ? {} : { findModule: setup.findModule }),
    ...(setup.openHistory === undefined ? {} : { openHistory: setup.openHistory }),
  })
}

/** What a reload hands to a running server. */
export function hotConfig(setup: Pick<ServerSetup, 'limits' | 'origins' | 'channels'> = {}): HotRealtimeConfig {
  return {
    ...defaults,
    origins: setup.origins,
    limits: { ...limits, ...setup.limits },
    channels: channelRules(setup.channels ?? {}),
  }
}

/** Rules by pattern, with what they leave out. */
function channelRules(rules: Readonly<Record<string, Partial<ChannelRule>>>): readonly ChannelRule[] {
  const empty = { access: undefined, authorize: undefined, clientEvents: undefined, conflate: undefined, history: undefined, limits: {} }
  return Object.entries(rules).map(([pattern, rule]) => ({ pattern, ...empty, ...rule }))
}

/** A rule that asks a module; which one it is `findModule` knows. */
export function asks(module: string): Pick<ChannelRule, 'access' | 'authorize'> {
  const position = { line: 1, column: 1, offset: 0 }
  return {
    access: 'authorize',
    authorize: { module, exportName: 'default', file: 'router.yaml', range: { start: position, end: position } },
  }
}

export interface RunningServer {
  readonly server: RealtimeServer
  readonly port: number
  readonly adminPort: number | undefined
  readonly http: string
}

/** A server that goes away with the test. */
export async function startServer(setup: ServerSetup = {}): Promise<RunningServer> {
  const server = makeServer(setup)
  const { port, admin } = await server.listen()
  onTestFinished(() => server.close({ graceMs: 500 }))
  return { server, port, adminPort: admin?.port, http: `http://127.0.0.1:${port}` }
}

export interface ReceivedMessage {
  readonly event: string
  readonly channel?: string
  readonly data: unknown
  readonly user_id?: string
}

/** A client that speaks the protocol by hand. */
export class RawClient {
  readonly webSocket: WebSocket
  readonly closed: Promise<{ code: number; reason: string }>
  readonly received: ReceivedMessage[] = []
  #waiting: (() => void)[] = []

  constructor(webSocket: WebSocket) {
    this.webSocket = webSocket
    webSocket.on('message', data => {
      this.received.push(JSON.parse(String(data)))
      for (const wake of this.#waiting.splice(0)) wake()
    })
    webSocket.on('error', () => {})
    this.closed = new Promise(resolve => webSocket.on('close', (code, reason) => resolve({ code, reason: String(reason) })))
  }

  send(message: unknown): void {
    this.webSocket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  }

  /** The first message that fits, among those received and those to come. */
  async message(fits: (message: ReceivedMessage) => boolean): Promise<ReceivedMessage> {
    for (;;) {
      const found = this.received.find(fits)
      if (found !== undefined) return found
      await new Promise<void>(resolve => this.#waiting.push(resolve))
    }
  }

  event(event: string, channel?: string): Promise<ReceivedMessage> {
    return this.message(message => message.event === event && (channel === undefined || message.channel === channel))
  }

  async socketId(): Promise<string> {
    return String(fieldsOf(await this.event('pusher:connection_established'))['socket_id'])
  }

  /** `channel_data` is signed along where it is given; without `auth` nothing is shown. */
  async subscribe(channel: string, auth?: string, channelData?: string): Promise<ReceivedMessage> {
    const shown = { ...(auth === undefined ? {} : { auth }), ...(channelData === undefined ? {} : { channel_data: channelData }) }
    this.send({ event: 'pusher:subscribe', data: { channel, ...shown } })
    return await this.event('pusher_internal:subscription_succeeded', channel)
  }

  /** Subscribes as whoever the app signed for. */
  async join(channel: string, member?: Readonly<Record<string, unknown>>, of: ResolvedApp = app): Promise<ReceivedMessage> {
    const channelData = member === undefined ? undefined : JSON.stringify(member)
    return await this.subscribe(channel, channelAuth(of, await this.socketId(), channel, channelData), channelData)
  }

  async signIn(user: Readonly<Record<string, unknown>>): Promise<void> {
    const userData = JSON.stringify(user)
    this.send({ event: 'pusher:signin', data: { auth: userAuth(app, await this.socketId(), userData), user_data: userData } })
    await this.event('pusher:signin_success')
  }

  /** All that has been said until now is answered: messages of one socket keep their order. */
  async settled(): Promise<void> {
    const before = this.received.filter(({ event }) => event === 'pusher:pong').length
    this.send({ event: 'pusher:ping', data: {} })
    await this.message(() => this.received.filter(({ event }) => event === 'pusher:pong').length > before)
  }
}

/** The data of a message: an object, or a JSON string of one. */
export function fieldsOf(message: ReceivedMessage): Readonly<Record<string, unknown>> {
  const data: unknown = typeof message.data === 'string' ? JSON.parse(message.data) : message.data
  if (typeof data !== 'object' || data === null) throw new Error(`no fields in ${JSON.stringify(message)}`)
  return { ...data }
}

export interface RawClientOptions {
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
}

export function rawClient(port: number, options: RawClientOptions = {}): RawClient {
  const path = options.path ?? '/app/shop-key?protocol=7&client=js&version=8.6.0'
  const client = new RawClient(new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { ...options.headers } }))
  onTestFinished(() => client.webSocket.terminate())
  return client
}

/** Connected and greeted. */
export async function connectedClient(port: number, options: RawClientOptions = {}): Promise<RawClient> {
  const client = rawClient(port, options)
  await client.socketId()
  return client
}

export function pusherClient(port: number, options: Partial<import('pusher-js').Options> = {}): PusherClient {
  const client = new PusherClient('shop-key', {
    cluster: '',
    wsHost: '127.0.0.1',
    wsPort: port,
    forceTLS: false,
    enabledTransports: ['ws'],
    disableStats: true,
    ...options,
  })
  onTestFinished(() => client.disconnect())
  return client
}

interface Bindable {
  bind(event: string, callback: (data: unknown) => void): unknown
  unbind(event: string, callback: (data: unknown) => void): unknown
}

/** The next event of a pusher-js connection or channel. */
export function nextOf(target: Bindable, event: string): Promise<unknown> {
  return new Promise(resolve => {
    const heard = (data: unknown): void => {
      target.unbind(event, heard)
      resolve(data)
    }
    target.bind(event, heard)
  })
}

/** Looks again and again until it holds, for states that announce themselves by no event. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5)
}

export interface Deferred<Value> {
  readonly promise: Promise<Value>
  readonly resolve: (value: Value) => void
}

export function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => {}
  const promise = new Promise<Value>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
