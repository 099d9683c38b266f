import type { WebSocket } from 'ws'
import type { AppChannels, Subscription } from './channels.ts'
import type { CloseReason } from './counters.ts'
import { messageFrame, type ServerMessage } from './frame.ts'
import type { Outbox } from './outbox.ts'
import type { TokenBucket } from './token-bucket.ts'

/** One established socket. */
export interface Connection {
  /** `number.number`, as the protocol wants it. */
  readonly socketId: string
  readonly app: AppChannels
  readonly webSocket: WebSocket
  readonly outbox: Outbox
  readonly bucket: TokenBucket
  /** By channel name. */
  readonly subscriptions: Map<string, Subscription>
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
