import { performance } from 'node:perf_hooks'
import type { ChannelRule } from '../config/router-config.ts'
import type { Broadcaster } from './broadcaster.ts'
import { eventNameFault } from './channel-kind.ts'
import type { Channel } from './channels.ts'
import { clientEventRefused } from './close-code.ts'
import type { Connection } from './connection.ts'
import { type Fields, ownText, ownValue } from './json-fields.ts'
import type { LiveSettings } from './settings.ts'
import { TokenBucket } from './token-bucket.ts'

export interface ClientEventContext {
  readonly settings: LiveSettings
  readonly broadcaster: Broadcaster
  /** A client event has been sent. */
  readonly clientEventSent: (connection: Connection, channel: Channel, event: string, data: string) => void
}

interface ClientEventFault {
  readonly reason: 'client-event' | 'client-event-rate'
  readonly code: number
  readonly message: string
}

/** Sends a client's event to the others on a channel, or says why not. Refusals never close (Pusher's documentation of client events). */
export function sendClientEvent(
  connection: Connection,
  event: string,
  message: Fields,
  context: ClientEventContext,
): ClientEventFault | undefined {
  const { limits } = context.settings
  const channel = connection.subscriptions.get(ownText(message, 'channel') ?? '')?.channel
  if (channel === undefined) return refused('Client events need a `channel` that this connection has subscribed to')
  if (channel.kind.kind !== 'private' && channel.kind.kind !== 'presence') {
    return refused('Client events are for private and presence channels')
  }
  if (!(channel.rule?.clientEvents ?? connection.app.app.clientEvents ?? false)) return refused('Client events are not enabled here')
  const nameFault = eventNameFault(event, limits.eventName)
  if (nameFault !== undefined) return refused(nameFault)
  const data = ownValue(message, 'data')
  const text = typeof data === 'string' ? data : JSON.stringify(data ?? null)
  const most = channel.rule?.limits.data ?? limits.apiEvent
  if (Buffer.byteLength(text) > most) return refused(`The data of an event has at most ${most} bytes`)
  const perSecond = channel.rule?.limits.clientEvents ?? limits.clientEvents
  if (!takesEvent(connection, channel.rule, perSecond)) {
    return { reason: 'client-event-rate', code: clientEventRefused, message: `More than ${perSecond} client events a second` }
  }
  context.broadcaster.relay(connection, channel.name, event, text)
  context.clientEventSent(connection, channel, event, text)
  return undefined
}

/** Channels whose rule has a rate of its own share that one, all others the server's. */
function takesEvent(connection: Connection, rule: ChannelRule | undefined, perSecond: number): boolean {
  const now = performance.now()
  const limitedBy = rule?.limits.clientEvents === undefined ? undefined : rule
  connection.clientEvents ??= new Map()
  let bucket = connection.clientEvents.get(limitedBy)
  if (bucket === undefined) {
    bucket = new TokenBucket(perSecond, now)
    connection.clientEvents.set(limitedBy, bucket)
  }
  return bucket.take(perSecond, perSecond, now)
}

function refused(message: string): ClientEventFault {
  return { reason: 'client-event', code: clientEventRefused, message }
}
