import { randomInt } from 'node:crypto'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import { performance } from 'node:perf_hooks'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { AppChannels } from './channels.ts'
import { receiveMessage } from './client-messages.ts'
import { closeCodes } from './close-code.ts'
import { type Connection, sendError, sendMessage } from './connection.ts'
import type { CloseReason, Counters } from './counters.ts'
import { messageFrame, pongFrame } from './frame.ts'
import { requestedKey, shakeHands } from './handshake.ts'
import type { OriginRule } from './origin.ts'
import { Flusher, Outbox, type OutboxShared } from './outbox.ts'
import { requestTarget } from './request-target.ts'
import type { LiveSettings, RealtimeLog, RealtimeTimings } from './settings.ts'
import { TokenBucket } from './token-bucket.ts'

/** Refused sockets that may be waiting for their close frame to arrive; beyond it they get a plain HTTP 503. */
const mostRefused = 1_000
const largestSocketIdPart = 2 ** 31

export interface SocketServerOptions {
  /** By app key. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly connections: Map<string, Connection>
  readonly counters: Counters
  readonly settings: LiveSettings
  readonly timings: RealtimeTimings
  readonly originAllowed: OriginRule
  readonly log: RealtimeLog
}

/** The WebSocket side: takes upgrades, keeps the established sockets, ends the silent ones. */
export class SocketServer {
  originAllowed: OriginRule
  readonly #options: SocketServerOptions
  readonly #outboxShared: OutboxShared
  readonly #refused = new Set<WebSocket>()
  readonly #sweeper: NodeJS.Timeout
  #webSockets: WebSocketServer
  #stopping = false

  constructor(options: SocketServerOptions) {
    this.#options = options
    this.originAllowed = options.originAllowed
    this.#outboxShared = { flusher: new Flusher(), counters: options.counters, settings: options.settings }
    this.#webSockets = webSocketServer(options.settings.limits.frame)
    this.#sweeper = setInterval(() => this.#sweep(), options.timings.sweepMs).unref()
  }

  /** After a change of `limits.frame`: holds for sockets that connect from now on. */
  takeFrameLimit(): void {
    this.#webSockets = webSocketServer(this.#options.settings.limits.frame)
  }

  /** Refuses new sockets from now on. */
  stopAccepting(): void {
    this.#stopping = true
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws listens for them, errors of a socket that goes away would be uncaught.
    socket.on('error', () => socket.destroy())
    const target = requestTarget(request)
    const key = target === undefined ? undefined : requestedKey(target)
    if (target === undefined || key === undefined) this.#refuseUpgrade(socket, 404, 'path')
    else if (this.#stopping) this.#refuseUpgrade(socket, 503, 'stopping')
    else if (this.#refused.size >= mostRefused) this.#refuseUpgrade(socket, 503, 'capacity')
    else this.#accept(request, socket, head, target, key)
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer, target: URL, key: string): void {
    this.#webSockets.handleUpgrade(request, socket, head, webSocket => {
      const handshake = shakeHands(request, target, key, this.#options.apps, this.originAllowed)
      if (handshake.kind === 'refused') {
        this.#options.counters.refused(handshake.reason)
        this.#refuse(webSocket, socket, handshake.code, handshake.message)
      } else if (this.#options.connections.size >= this.#options.settings.limits.connections) {
        this.#options.counters.refused('capacity')
        this.#refuse(webSocket, socket, closeCodes.overCapacity, 'The server has as many connections as it may')
      } else this.#establish(webSocket, socket, handshake.app)
    })
  }

  /**
   * Closes every socket with a code after which clients reconnect in a second, spread over up to `spreadMs` so that they do not all arrive elsewhere
   * at the same moment; what is left at `graceMs` is cut. The second matters: pusher-js that reconnects at once and finds nobody, because a restart
   * or a load balancer takes a moment, waits 15 seconds before it tries again.
   */
  async close({ graceMs, spreadMs }: { readonly graceMs: number; readonly spreadMs: number }): Promise<void> {
    this.#stopping = true
    const startedAt = performance.now()
    const connections = [...this.#options.connections.values()]
    for (const [index, connection] of connections.entries()) {
      const waitMs = startedAt + (index / connections.length) * spreadMs - performance.now()
      if (waitMs > 1) await delay(waitMs)
      this.#end(connection, 'shutdown', closeCodes.overCapacity, 'The server is stopping')
    }
    await this.#allGone(startedAt + graceMs)
    clearInterval(this.#sweeper)
    for (const connection of this.#options.connections.values()) connection.webSocket.terminate()
    for (const webSocket of this.#refused) webSocket.terminate()
  }

  async #allGone(deadline: number): Promise<void> {
    const gone = Promise.all(
      [...this.#options.connections.values()].map(
        ({ webSocket }) => new Promise<void>(resolve => webSocket.once('close', () => resolve())),
      ),
    )
    const timeout = new AbortController()
    const expired = delay(Math.max(0, deadline - performance.now()), undefined, { signal: timeout.signal }).catch(() => undefined)
    await Promise.race([gone, expired])
    timeout.abort()
  }

  /** The handshake is answered with HTTP alone. */
  #refuseUpgrade(socket: Duplex, status: number, reason: 'path' | 'stopping' | 'capacity'): void {
    this.#options.counters.refused(reason)
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
  }

  /** The handshake is completed first: browsers show a page neither status nor body of a failed one, but they do show `pusher:error` and the close code. */
  #refuse(webSocket: WebSocket, socket: Duplex, code: number, message: string): void {
    this.#refused.add(webSocket)
    const cut = setTimeout(() => webSocket.terminate(), this.#options.timings.closeTimeoutMs)
    webSocket.on('error', () => webSocket.terminate())
    webSocket.on('close', () => {
      clearTimeout(cut)
      this.#refused.delete(webSocket)
    })
    socket.write(messageFrame({ event: 'pusher:error', data: { code, message } }), 'latin1')
    webSocket.close(code, message)
  }

  #establish(webSocket: WebSocket, socket: Duplex, app: AppChannels): void {
    const { settings, timings, connections } = this.#options
    const now = performance.now()
    const connection: Connection = {
      socketId: this.#freeSocketId(),
      app,
      webSocket,
      outbox: new Outbox(webSocket, socket, this.#outboxShared, () =>
        this.#end(connection, 'slow-consumer', closeCodes.overCapacity, 'Reads too slowly'),
      ),
      bucket: new TokenBucket(frameBurst(settings), now),
      subscriptions: new Map(),
      heardAt: now,
      pinged: false,
      closing: undefined,
    }
    connections.set(connection.socketId, connection)
    webSocket.on('message', (data, isBinary) => this.#receive(connection, data, isBinary))
    webSocket.on('ping', data => this.#heard(connection) && connection.outbox.push(pongFrame(data)))
    webSocket.on('pong', () => this.#heard(connection))
    webSocket.on('error', error => this.#failed(connection, error))
    webSocket.on('close', code => this.#gone(connection, code))
    const data = JSON.stringify({ socket_id: connection.socketId, activity_timeout: timings.activityTimeoutMs / 1000 })
    sendMessage(connection, { event: 'pusher:connection_established', data })
  }

  #freeSocketId(): string {
    const socketId = `${randomInt(1, largestSocketIdPart)}.${randomInt(1, largestSocketIdPart)}`
    return this.#options.connections.has(socketId) ? this.#freeSocketId() : socketId
  }

  #receive(connection: Connection, data: RawData, isBinary: boolean): void {
    if (!this.#heard(connection)) return
    if (isBinary || !Buffer.isBuffer(data)) {
      sendError(connection, closeCodes.invalidMessage, 'Binary frames are not part of the protocol')
      this.#end(connection, 'frame-invalid', closeCodes.binaryFrame, 'Text frames only')
    } else receiveMessage(connection, data.toString('utf8'), this.#options)
  }

  /** Notes the sign of life. False where the frame is not to be looked at: the client sends too fast, or is being closed. */
  #heard(connection: Connection): boolean {
    if (connection.closing !== undefined) return false
    const { settings } = this.#options
    const now = performance.now()
    connection.heardAt = now
    connection.pinged = false
    if (connection.bucket.take(settings.limits.clientFrames, frameBurst(settings), now)) return true
    const message = `More than ${settings.limits.clientFrames} messages a second`
    sendError(connection, closeCodes.overCapacity, message)
    this.#end(connection, 'too-fast', closeCodes.overCapacity, message)
    return false
  }

  #sweep(): void {
    const { activityTimeoutMs, pongTimeoutMs, closeTimeoutMs } = this.#options.timings
    const now = performance.now()
    for (const connection of this.#options.connections.values()) {
      const silentMs = now - connection.heardAt
      if (connection.closing !== undefined) {
        if (now - connection.closing.at > closeTimeoutMs) connection.webSocket.terminate()
      } else if (silentMs >= activityTimeoutMs + pongTimeoutMs) {
        this.#end(connection, 'inactive', closeCodes.pongMissing, 'Nothing heard for too long')
      } else if (silentMs >= activityTimeoutMs && !connection.pinged) {
        connection.pinged = true
        sendMessage(connection, { event: 'pusher:ping', data: '{}' })
      }
    }
  }

  #end(connection: Connection, reason: CloseReason, code: number, message: string): void {
    if (connection.closing !== undefined) return
    this.#leave(connection, reason)
    connection.outbox.end()
    connection.webSocket.close(code, message)
  }

  /** ws answers a frame that breaks the rules of WebSocket with a close frame of its own. */
  #failed(connection: Connection, error: Error): void {
    if (connection.closing !== undefined) return
    const code = 'code' in error ? error.code : undefined
    const reason =
      code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'frame-too-large' : String(code).startsWith('WS_ERR_') ? 'frame-invalid' : 'lost'
    this.#leave(connection, reason)
  }

  #gone(connection: Connection, code: number): void {
    // 1006 stands for a connection that ended without a close frame (RFC 6455, section 7.4.1).
    if (connection.closing === undefined) this.#leave(connection, code === 1006 ? 'lost' : 'client')
    this.#options.connections.delete(connection.socketId)
  }

  #leave(connection: Connection, reason: CloseReason): void {
    connection.closing = { reason, at: performance.now() }
    connection.app.unsubscribeAll(connection)
    this.#options.counters.closed(reason)
    this.#options.log.debug({ socket: connection.socketId, app: connection.app.app.id, reason }, 'socket closed')
  }
}

/** After a reconnect a client subscribes to all its channels at once. */
function frameBurst({ limits }: LiveSettings): number {
  return limits.clientFrames + limits.channels
}

function webSocketServer(maxPayload: number): WebSocketServer {
  // Pre-built frames go past ws's own queue, which compression would need.
  return new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, autoPong: false, maxPayload })
}
