import { channelKind, channelNameFault } from './channel-kind.ts'
import { clientEventRefused, closeCodes } from './close-code.ts'
import { type Connection, sendError, sendMessage } from './connection.ts'
import type { Counters } from './counters.ts'
import type { LiveSettings } from './settings.ts'
import { channelAuth, sameText } from './signature.ts'

export interface ClientMessagesContext {
  readonly counters: Counters
  readonly settings: LiveSettings
}

type Fields = Readonly<Record<string, unknown>>

/** Why a message is answered with `pusher:error`. */
interface MessageFault {
  readonly code: number
  readonly message: string
}

/** Acts on one text frame from a client. Whatever it holds, the connection stays: what makes no sense is answered with `pusher:error`. */
export function receiveMessage(connection: Connection, text: string, context: ClientMessagesContext): void {
  const found = act(connection, text, context)
  if (found === undefined) return
  context.counters.refused('message')
  sendError(connection, found.code, found.message)
}

function act(connection: Connection, text: string, context: ClientMessagesContext): MessageFault | undefined {
  const message = parseObject(text)
  const event = message === undefined ? undefined : ownText(message, 'event')
  if (message === undefined || event === undefined) return fault('A message is a JSON object with a text `event`')
  switch (event) {
    case 'pusher:ping':
      sendMessage(connection, { event: 'pusher:pong', data: '{}' })
      return undefined
    case 'pusher:pong':
      return undefined
    case 'pusher:subscribe':
      return subscribe(connection, ownObject(message, 'data'), context)
    case 'pusher:unsubscribe':
      return unsubscribe(connection, ownObject(message, 'data'))
    case 'pusher:signin':
      return fault('Sign-in is not available in this version')
    default:
      if (event.startsWith('client-')) return { code: clientEventRefused, message: 'Client events are not available in this version' }
      return fault('Unknown event')
  }
}

function fault(message: string): MessageFault {
  return { code: closeCodes.invalidMessage, message }
}

function subscribe(connection: Connection, data: Fields | undefined, context: ClientMessagesContext): MessageFault | undefined {
  const channel = data === undefined ? undefined : ownText(data, 'channel')
  if (data === undefined || channel === undefined) return fault('`pusher:subscribe` needs a `channel` in its data')
  const refusal = connection.subscriptions.has(channel)
    ? undefined
    : subscriptionRefusal(connection, channel, ownText(data, 'auth'), context)
  if (refusal === undefined) {
    connection.app.subscribe(connection, channel)
    sendMessage(connection, { event: 'pusher_internal:subscription_succeeded', channel, data: '{}' })
  } else {
    const { reason, type, error, status } = refusal
    context.counters.refused(reason)
    sendMessage(connection, { event: 'pusher:subscription_error', channel, data: { type, error, status } })
  }
  return undefined
}

interface SubscriptionRefusal {
  readonly reason: 'channel-name' | 'channel-kind' | 'subscription-auth' | 'subscription-limit'
  readonly type: string
  readonly error: string
  readonly status: number
}

function subscriptionRefusal(
  connection: Connection,
  channel: string,
  auth: string | undefined,
  { settings }: ClientMessagesContext,
): SubscriptionRefusal | undefined {
  const nameFault = channelNameFault(channel, settings.limits.channelName)
  if (nameFault !== undefined) return { reason: 'channel-name', type: 'InvalidChannel', error: nameFault, status: 400 }
  const { kind, available } = channelKind(channel)
  if (!available) {
    return { reason: 'channel-kind', type: 'NotAvailable', error: `${kind} channels are not available in this version`, status: 501 }
  }
  if (connection.subscriptions.size >= settings.limits.channels) {
    return {
      reason: 'subscription-limit',
      type: 'LimitReached',
      error: `A socket has at most ${settings.limits.channels} channels`,
      status: 429,
    }
  }
  if (kind === 'private' && (auth === undefined || !sameText(channelAuth(connection.app.app, connection.socketId, channel), auth))) {
    const error = auth === undefined ? 'A private channel needs `auth`' : 'The signature of `auth` is wrong for this socket and channel'
    return { reason: 'subscription-auth', type: 'AuthError', error, status: 401 }
  }
  return undefined
}

function unsubscribe(connection: Connection, data: Fields | undefined): MessageFault | undefined {
  const channel = data === undefined ? undefined : ownText(data, 'channel')
  if (channel === undefined) return fault('`pusher:unsubscribe` needs a `channel` in its data')
  connection.app.unsubscribe(connection, channel)
  return undefined
}

function parseObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function ownText(fields: Fields, key: string): string | undefined {
  const value = Object.hasOwn(fields, key) ? fields[key] : undefined
  return typeof value === 'string' ? value : undefined
}

function ownObject(fields: Fields, key: string): Fields | undefined {
  const value = Object.hasOwn(fields, key) ? fields[key] : undefined
  return isObject(value) ? value : undefined
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
