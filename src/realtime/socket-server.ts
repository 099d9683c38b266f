import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import type { AppChannels } from './channels.ts'
import type { AddressOf } from './client-address.ts'
import { type ClientMessagesContext, receiveMessage } from './client-messages.ts'
import { closeCodes } from './close-code.ts'
import { type Connection, sendError } from './connection.ts'
import type { Connections } from './connections.ts'
import type { CloseReason, Counters } from './counters.ts'
import { credentialsOf, readCredentials } from './credentials.ts'
import { messageFrame, pongFrame } from './frame.ts'
import { type Refusal, requestedKey, shakeHands } from './handshake.ts'
import type { OriginRule } from './origin.ts'
import { Outbox, type OutboxShared } from './outbox.ts'
import type { Pass } from './pass.ts'
import { requestTarget } from './request-target.ts'
import type { LiveSettings } from './settings.ts'
import { givePass } from './take-token.ts'

/** Refused sockets that may be waiting for their close frame to arrive; beyond it they get a plain HTTP 503. */
const mostRefused = 1_000
/** Sockets whose token is being checked: a key set that does not answer keeps them for some seconds. */
const mostChecked = 1_000
/** Parts of one message, and pieces of it as they arrive: pusher-js sends every message as one frame, and 16kb in few segments. */
const mostFragments = 64
const mostChunks = 1_024

export interface SocketServerOptions {
  /** By app key. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly connections: Connections
  readonly counters: Counters
  readonly settings: LiveSettings
  readonly outbox: OutboxShared
  readonly messages: ClientMessagesContext
  /** Asked at every upgrade. */
  readonly rules: () => { readonly originAllowed: OriginRule; readonly addressOf: AddressOf }
}

interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  readonly target: URL
  readonly address: string
}

interface Accepted {
  readonly kind: 'accepted'
  readonly app: AppChannels
  readonly pass?: Pass | undefined
}

type Admission = Accepted | ({ readonly kind: 'refused' } & Refusal)

/** The WebSocket side: takes upgrades and hands over what clients send. */
export class SocketServer {
  readonly #options: SocketServerOptions
  readonly #refused = new Set<WebSocket>()
  #webSockets: WebSocketServer
  #stopping = false
  #checking = 0

  constructor(options: SocketServerOptions) {
    this.#options = options
    this.#webSockets = webSocketServer(options.settings.limits.frame)
  }

  /** After a change of `limits.frame`: holds for sockets that connect from now on. */
  takeFrameLimit(): void {
    this.#webSockets = webSocketServer(this.#options.settings.limits.frame)
  }

  /** Refuses new sockets from now on. */
  stopAccepting(): void {
    this.#stopping = true
  }

  /** Cuts the sockets that were refused and have not gone yet. */
  close(): void {
    for (const webSocket of this.#refused) webSocket.terminate()
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
    const { apps, rules } = this.#options
    const { originAllowed, addressOf } = rules()
    const upgrade = { request, socket, head, target, address: addressOf(request) }
    const handshake = shakeHands(request, target, key, apps, originAllowed)
    const app = handshake.kind === 'accepted' ? handshake.app : undefined
    const token = app?.tokens === undefined ? undefined : readCredentials(credentialsOf(request, target.search)).token
    if (app !== undefined && token !== undefined) void this.#acceptToken(upgrade, app, token)
    else this.#complete(upgrade, handshake)
  }

  /** What the client sends in the meantime stays with the operating system. */
  async #acceptToken(upgrade: Upgrade, app: AppChannels, token: string): Promise<void> {
    if (this.#checking >= mostChecked) return this.#refuseUpgrade(upgrade.socket, 503, 'capacity')
    this.#checking += 1
    const admission = await admitToken(app, token, this.#options.settings)
    this.#checking -= 1
    if (this.#stopping) this.#refuseUpgrade(upgrade.socket, 503, 'stopping')
    else this.#complete(upgrade, admission)
  }

  #complete(upgrade: Upgrade, admission: Admission): void {
    const { connections, counters } = this.#options
    const { request, socket, head, address } = upgrade
    this.#webSockets.handleUpgrade(request, socket, head, webSocket => {
      const refusal = admission.kind === 'refused' ? admission : connections.full(admission.app, address)
      if (refusal !== undefined) {
        counters.refused(refusal.reason)
        this.#refuse(webSocket, socket, refusal.code, refusal.message)
      } else if (admission.kind === 'accepted') this.#establish(webSocket, upgrade, admission)
    })
  }

  /** The handshake is answered with HTTP alone. */
  #refuseUpgrade(socket: Duplex, status: number, reason: 'path' | 'stopping' | 'capacity'): void {
    this.#options.counters.refused(reason)
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
  }

  /** The handshake is completed first: browsers show a page neither status nor body of a failed one, but they do show `pusher:error` and the close code. */
  #refuse(webSocket: WebSocket, socket: Duplex, code: number, message: string): void {
    this.#refused.add(webSocket)
    const cut = setTimeout(() => webSocket.terminate(), this.#options.settings.timings.closeTimeoutMs)
    webSocket.on('error', () => webSocket.terminate())
    webSocket.on('close', () => {
      clearTimeout(cut)
      this.#refused.delete(webSocket)
    })
    socket.write(messageFrame({ event: 'pusher:error', data: { code, message } }), 'latin1')
    webSocket.close(code, message)
  }

  #establish(webSocket: WebSocket, { request, socket, target, address }: Upgrade, { app, pass }: Accepted): void {
    const { connections, outbox } = this.#options
    const connection = connections.open({
      app,
      address,
      credentials: credentialsOf(request, target.search),
      transport: {
        isOneWay: false,
        close: (code, message) => webSocket.close(code, message),
        terminate: () => webSocket.terminate(),
      },
      outbox: overflow => new Outbox(webSocket, socket, outbox, overflow),
    })
    if (pass !== undefined) givePass(connection, pass)
    webSocket.on('message', (data, isBinary) => this.#receive(connection, data, isBinary))
    webSocket.on('ping', data => connections.heard(connection) && connection.outbox.push(pongFrame(data)))
    webSocket.on('pong', () => connections.heard(connection))
    webSocket.on('error', error => connections.leave(connection, failureReason(error)))
    webSocket.on('close', code => {
      // 1006 stands for a connection that ended without a close frame (RFC 6455, section 7.4.1).
      connections.leave(connection, code === 1006 ? 'lost' : 'client')
      connections.gone(connection)
    })
  }

  #receive(connection: Connection, data: RawData, isBinary: boolean): void {
    const { connections, messages } = this.#options
    if (!connections.heard(connection)) return
    if (isBinary || !Buffer.isBuffer(data)) {
      sendError(connection, closeCodes.invalidMessage, 'Binary frames are not part of the protocol')
      connections.end(connection, 'frame-invalid', closeCodes.binaryFrame, 'Text frames only')
    } else receiveMessage(connection, data.toString('utf8'), messages)
  }
}

async function admitToken(app: AppChannels, token: string, { limits }: LiveSettings): Promise<Admission> {
  const answer = await app.tokens?.verify(token, limits)
  if (answer === undefined || answer.kind === 'valid') return { kind: 'accepted', app, pass: answer?.pass }
  // A client whose token is wrong stays away; one whose token cannot be checked comes back.
  const code = answer.kind === 'refused' ? closeCodes.unauthorized : closeCodes.overCapacity
  return { kind: 'refused', reason: 'token', code, message: answer.error }
}

/** ws answers a frame that breaks the rules of WebSocket, or its limits, with a close frame of its own. */
function failureReason(error: Error): CloseReason {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' || code === 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH') return 'frame-too-large'
  if (code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS') return 'fragments'
  return code.startsWith('WS_ERR_') ? 'frame-invalid' : 'lost'
}

function webSocketServer(maxPayload: number): WebSocketServer {
  const options = { maxPayload, maxFragments: mostFragments, maxBufferedChunks: mostChunks }
  // Pre-built frames go past ws's own queue, which compression would need.
  return new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, autoPong: false, ...options })
}
