import type { ChannelRule } from '../config/router-config.ts'
import type { AppChannels, Subscription } from './channels.ts'
import type { CloseReason } from './counters.ts'
import type { Credentials } from './credentials.ts'
import { type ByteString, messageFrame, type ServerMessage } from './frame.ts'
import type { Pass } from './pass.ts'
import type { SignedInUser } from './presence.ts'
import type { Tracker } from './resume/tracker.ts'
import type { TokenBucket } from './token-bucket.ts'
import type { TokenAnswer } from './token-verifier.ts'

/** The way out to a client: frames in their order, written once per turn of the event loop. */
export interface FrameSink {
  /** Bytes not yet taken by the operating system. */
  readonly queuedBytes: number
  /** `id` names the place after the frame, for sinks that can say it. */
  push(frame: ByteString, id?: string): void
  /** Frames that go at the end of every write. */
  trailer: (() => ByteString) | undefined
  /** Has the trailer written soon, with or without frames. */
  wake(): void
  /** Calls back once the operating system has taken what was queued; never, where the client goes away before. */
  whenDrained(callback: () => void): void
  /** Hands over what waits and takes nothing more. */
  end(): void
}

/** What carries a connection: a WebSocket, or a stream of server-sent events. */
export interface Transport {
  /** True where silence means nothing, since the client has no way to speak. */
  readonly isOneWay: boolean
  close(code: number, message: string): void
  terminate(): void
}

/** One established client. */
export interface Connection {
  /** `number.number`, as the protocol wants it. */
  readonly socketId: string
  readonly app: AppChannels
  /** Where it comes from, as `connectionsPerIp` counts. */
  readonly address: string
  readonly credentials: Credentials
  readonly transport: Transport
  readonly outbox: FrameSink
  readonly bucket: TokenBucket
  /** By the rule whose rate it is, `undefined` for the server's own; made by the first client event, and anew after a change of the rules. */
  clientEvents: Map<ChannelRule | undefined, TokenBucket> | undefined
  /** By channel name. */
  readonly subscriptions: Map<string, Subscription>
  /** Subscriptions that a module is deciding on, by channel name; undefined where none ever was. */
  pending: Map<string, AbortController> | undefined
  user: SignedInUser | undefined
  /** What its token allows. */
  pass: Pass | undefined
  /** The token that was last shown, while it is checked and where it holds. */
  token: { readonly text: string; readonly answer: Promise<TokenAnswer> } | undefined
  /** It keeps track of where it stands in channels with history. */
  tracker: Tracker | undefined
  /** It has subscribed or signed in at some time: it is no idler. */
  isUsed: boolean
  readonly connectedAt: number
  /** When the client was last heard, in ms of the monotonic clock. */
  heardAt: number
  /** A ping was sent and nothing has come since. */
  pinged: boolean
  /** Set once, by whoever ends the connection first. */
  closing: { readonly reason: CloseReason; readonly at: number } | undefined
}

export function sendMessage(connection: Connection, message: ServerMessage): void {
  connection.outbox.push(messageFrame(message))
}

/** Tells the client what was wrong; the connection stays. */
export function sendError(connection: Connection, code: number, message: string): void {
  sendMessage(connection, { event: 'pusher:error', data: { code, message } })
}
