import { randomInt } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { AppChannels } from './channels.ts'
import { closeCodes } from './close-code.ts'
import { type Connection, type FrameSink, sendError, sendMessage, type Transport } from './connection.ts'
import type { CloseReason, Counters } from './counters.ts'
import type { Credentials } from './credentials.ts'
import type { Refusal } from './handshake.ts'
import { RefusalLog } from './refusal-log.ts'
import type { LiveSettings, RealtimeLog } from './settings.ts'
import { TokenBucket } from './token-bucket.ts'

const largestSocketIdPart = 2 ** 31

export interface NewConnection {
  readonly app: AppChannels
  readonly address: string
  readonly credentials: Credentials
  readonly transport: Transport
  /** `overflow` is to be called when the client takes less than it is sent. */
  readonly outbox: (overflow: () => void) => FrameSink
}

/** The established clients of all apps, however they are connected: who gets in, who was silent for too long, how they all leave. */
export class Connections {
  readonly bySocketId = new Map<string, Connection>()
  readonly #byAddress = new Map<string, number>()
  readonly #counters: Counters
  readonly #settings: LiveSettings
  readonly #log: RealtimeLog
  readonly #refusals: RefusalLog
  readonly #sweeper: NodeJS.Timeout
  #whenEmpty: (() => void) | undefined

  constructor(counters: Counters, settings: LiveSettings, log: RealtimeLog) {
    this.#counters = counters
    this.#settings = settings
    this.#log = log
    this.#refusals = new RefusalLog(counters, settings, log)
    this.#sweeper = setInterval(() => this.#sweep(), settings.timings.sweepMs).unref()
  }

  /** Why nobody more is let in; undefined where there is room. */
  full(app: AppChannels, address: string): Refusal | undefined {
    const { limits } = this.#settings
    if (this.bySocketId.size >= limits.connections) {
      return { reason: 'capacity', code: closeCodes.overCapacity, message: 'The server has as many connections as it may' }
    }
    if (app.connections >= (app.app.connections ?? Number.POSITIVE_INFINITY)) {
      return { reason: 'app-capacity', code: closeCodes.appOverCapacity, message: 'The app has as many connections as it may' }
    }
    if ((this.#byAddress.get(address) ?? 0) >= (limits.connectionsPerIp ?? Number.POSITIVE_INFINITY)) {
      return { reason: 'address-capacity', code: closeCodes.overCapacity, message: 'Your address has as many connections as it may' }
    }
    return undefined
  }

  /** Takes a client in and greets it. */
  open({ app, address, credentials, transport, outbox }: NewConnection): Connection {
    const settings = this.#settings
    const now = performance.now()
    const connection: Connection = {
      socketId: this.#freeSocketId(),
      app,
      address,
      credentials,
      transport,
      outbox: outbox(() => this.end(connection, 'slow-consumer', closeCodes.overCapacity, 'Reads too slowly')),
      bucket: new TokenBucket(frameBurst(settings), now),
      clientEvents: undefined,
      subscriptions: new Map(),
      pending: undefined,
      user: undefined,
      pass: undefined,
      token: undefined,
      tracker: undefined,
      isUsed: false,
      connectedAt: now,
      heardAt: now,
      pinged: false,
      closing: undefined,
    }
    this.bySocketId.set(connection.socketId, connection)
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1)
    app.connections += 1
    const activity = settings.timings.activityMs / 1000
    const data = JSON.stringify({ socket_id: connection.socketId, activity_timeout: activity })
    sendMessage(connection, { event: 'pusher:connection_established', data })
    return connection
  }

  /** Notes the sign of life. False where the frame is not to be looked at: the client sends too fast, or is being closed. */
  heard(connection: Connection): boolean {
    if (connection.closing !== undefined) return false
    const { limits } = this.#settings
    const now = performance.now()
    connection.heardAt = now
    connection.pinged = false
    if (connection.bucket.take(limits.clientFrames, frameBurst(this.#settings), now)) return true
    const message = `More than ${limits.clientFrames} messages a second`
    sendError(connection, closeCodes.overCapacity, message)
    this.end(connection, 'too-fast', closeCodes.overCapacity, message)
    return false
  }

  end(connection: Connection, reason: CloseReason, code: number, message: string): void {
    if (connection.closing !== undefined) return
    this.leave(connection, reason)
    connection.outbox.end()
    connection.transport.close(code, message)
  }

  /** Nothing more is sent to it, and it is in no channel; it counts until it is gone. */
  leave(connection: Connection, reason: CloseReason): void {
    if (connection.closing !== undefined) return
    connection.closing = { reason, at: performance.now() }
    for (const decision of connection.pending?.values() ?? []) decision.abort()
    connection.app.leave(connection)
    this.#counters.closed(reason)
    this.#log.debug({ socket: connection.socketId, app: connection.app.app.id, reason }, 'socket closed')
  }

  /** After a change of the rules: rates of rules that are gone are not remembered. */
  takeRules(): void {
    for (const connection of this.bySocketId.values()) connection.clientEvents = undefined
  }

  gone(connection: Connection): void {
    if (!this.bySocketId.delete(connection.socketId)) return
    connection.app.connections -= 1
    const left = (this.#byAddress.get(connection.address) ?? 0) - 1
    if (left > 0) this.#byAddress.set(connection.address, left)
    else this.#byAddress.delete(connection.address)
    if (this.bySocketId.size === 0) this.#whenEmpty?.()
  }

  /** Ends every connection of a user who signed in (Pusher's HTTP API, "Terminating user connections"). */
  terminateUser(app: AppChannels, userId: string): void {
    for (const connection of [...(app.users.get(userId) ?? [])]) {
      const message = 'The app has ended this connection'
      sendError(connection, closeCodes.unauthorized, message)
      this.end(connection, 'terminated', closeCodes.unauthorized, message)
    }
  }

  /**
   * Closes every connection with a code after which clients reconnect in a second, spread over up to `spreadMs` so that they do not all arrive elsewhere
   * at the same moment; what is left at `graceMs` is cut. The second matters: pusher-js that reconnects at once and finds nobody, because a restart
   * or a load balancer takes a moment, waits 15 seconds before it tries again.
   */
  async close({ graceMs, spreadMs }: { readonly graceMs: number; readonly spreadMs: number }): Promise<void> {
    const startedAt = performance.now()
    const connections = [...this.bySocketId.values()]
    for (const [index, connection] of connections.entries()) {
      const waitMs = startedAt + (index / connections.length) * spreadMs - performance.now()
      if (waitMs > 1) await delay(waitMs)
      this.end(connection, 'shutdown', closeCodes.overCapacity, 'The server is stopping')
    }
    await this.#allGone(startedAt + graceMs)
    clearInterval(this.#sweeper)
    this.#refusals.tell()
    for (const { transport } of this.bySocketId.values()) transport.terminate()
  }

  async #allGone(deadline: number): Promise<void> {
    if (this.bySocketId.size === 0) return
    const gone = new Promise<void>(resolve => {
      this.#whenEmpty = resolve
    })
    const timeout = new AbortController()
    const expired = delay(Math.max(0, deadline - performance.now()), undefined, { signal: timeout.signal }).catch(() => undefined)
    await Promise.race([gone, expired])
    timeout.abort()
  }

  #freeSocketId(): string {
    const socketId = `${randomInt(1, largestSocketIdPart)}.${randomInt(1, largestSocketIdPart)}`
    return this.bySocketId.has(socketId) ? this.#freeSocketId() : socketId
  }

  #sweep(): void {
    const now = performance.now()
    this.#refusals.look()
    for (const connection of this.bySocketId.values()) {
      if (connection.closing === undefined) this.#look(connection, now)
      else if (now - connection.closing.at > this.#settings.timings.closeTimeoutMs) connection.transport.terminate()
    }
  }

  #look(connection: Connection, now: number): void {
    const { activityMs, pongMs, firstSubscribeMs } = this.#settings.timings
    const silentMs = now - connection.heardAt
    if (connection.pass !== undefined && Date.now() >= connection.pass.endsAt) {
      // Clients come back at once, and ask their page for a new token.
      this.end(connection, 'token-expired', closeCodes.reconnect, 'The token has expired')
    } else if (!connection.isUsed && firstSubscribeMs > 0 && now - connection.connectedAt >= firstSubscribeMs) {
      // Clients come back at once after this code, should they still want something.
      this.end(connection, 'unused', closeCodes.reconnect, 'Subscribed to nothing for too long')
    } else if (silentMs >= activityMs + pongMs && !connection.transport.isOneWay) {
      this.end(connection, 'inactive', closeCodes.pongMissing, 'Nothing heard for too long')
    } else if (silentMs >= activityMs && !connection.pinged) {
      connection.pinged = !connection.transport.isOneWay
      // A client that cannot answer is written to all the same: a connection that is broken shows by it.
      if (connection.transport.isOneWay) connection.heardAt = now
      sendMessage(connection, { event: 'pusher:ping', data: '{}' })
    }
  }
}

/** After a reconnect a client subscribes to all its channels at once, and may want to go on in each. */
function frameBurst({ limits }: LiveSettings): number {
  return limits.clientFrames + 2 * limits.channels
}
