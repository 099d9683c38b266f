import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AppChannels } from '../channels.ts'
import type { AddressOf } from '../client-address.ts'
import type { Connection } from '../connection.ts'
import type { Connections } from '../connections.ts'
import { credentialsOf, readCredentials } from '../credentials.ts'
import type { Position } from '../history/history.ts'
import type { OriginRule } from '../origin.ts'
import type { OutboxShared } from '../outbox.ts'
import type { Pass } from '../pass.ts'
import type { Member } from '../presence.ts'
import { mostPlaces, noPlaces, readPlaces, StreamPositions } from '../resume/stream-positions.ts'
import { makeTracker } from '../resume/tracker.ts'
import { join, type SubscribeContext } from '../subscribe.ts'
import { type Access, type Claim, subscriptionAccess } from '../subscription-access.ts'
import { givePass } from '../take-token.ts'
import { corsHeaders } from './cors.ts'
import { EventStreamOutbox } from './event-stream-outbox.ts'
import { signatureFault } from './request-signature.ts'
import { respond, respondError } from './respond.ts'

export const eventStreamPath = '/sse'
const methods = 'GET, OPTIONS'

export interface EventStreamContext extends SubscribeContext {
  /** By app key. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly connections: Connections
  readonly originAllowed: OriginRule
  readonly addressOf: AddressOf
  readonly outbox: OutboxShared
  readonly isStopping: () => boolean
}

/**
 * `GET /sse?channels=a,b`: the events of channels as server-sent events, for clients without WebSocket. Who may subscribe is decided as on a socket.
 * A channel that wants a signature needs the whole request signed, as the HTTP API's are: the socket id that a subscription would sign is not
 * known before.
 */
export async function serveEventStream(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  context: EventStreamContext,
): Promise<void> {
  const { origin, host } = request.headers
  if (origin !== undefined && !context.originAllowed(origin, host)) {
    return refuse(response, context, 'origin', 403, 'Pages of this origin may not connect')
  }
  const cors = corsHeaders(request, methods)
  if (request.method === 'OPTIONS') return respond(response, 204, 'text/plain', '', cors)
  if (request.method !== 'GET') return respondError(response, 405, 'GET only', { ...cors, allow: methods })
  const asked = readTarget(target, context)
  if ('error' in asked) return refuse(response, context, asked.reason, asked.status, asked.error, cors)
  if (context.isStopping()) return refuse(response, context, 'stopping', 503, 'The server is stopping', cors)
  const presented = asked.app.tokens === undefined ? undefined : readCredentials(credentialsOf(request, target.search)).token
  const answer = presented === undefined ? undefined : await asked.app.tokens?.verify(presented, context.settings.limits)
  if (answer !== undefined && answer.kind !== 'valid') {
    return refuse(response, context, 'token', answer.kind === 'refused' ? 401 : 503, answer.error, cors)
  }
  if (response.destroyed || context.isStopping()) return respondError(response, 503, 'The server is stopping', cors)
  const full = context.connections.full(asked.app, context.addressOf(request))
  if (full !== undefined) return refuse(response, context, full.reason, 503, full.message, { ...cors, 'retry-after': '5' })
  await stream(request, response, target, { ...asked, pass: answer?.pass }, cors, context)
}

interface Asked {
  readonly app: AppChannels
  readonly channels: readonly string[]
  readonly isSigned: boolean
}

interface Refusal {
  readonly reason: 'app-key' | 'api-auth' | 'message' | 'subscription-limit'
  readonly status: number
  readonly error: string
}

function readTarget({ pathname, search, searchParams, href }: URL, { apps, settings }: EventStreamContext): Asked | Refusal {
  const [only, ...others] = apps.values()
  const key = searchParams.get('key') ?? searchParams.get('auth_key')
  const app = key === null ? (others.length === 0 ? only : undefined) : apps.get(key)
  if (app === undefined) return { reason: 'app-key', status: key === null ? 400 : 404, error: 'Say which app: `key=` and its key' }
  const listed = searchParams.getAll('channels').flatMap(names => names.split(','))
  const channels = [...new Set([...listed, ...searchParams.getAll('channel')])].filter(name => name !== '')
  if (channels.length === 0) return { reason: 'message', status: 400, error: 'Say which channels: `channels=a,b`' }
  if (channels.length > settings.limits.channels) {
    return { reason: 'subscription-limit', status: 400, error: `At most ${settings.limits.channels} channels` }
  }
  if (channels.filter(name => settings.rules.historyOf(name) !== undefined).length > mostPlaces) {
    return { reason: 'subscription-limit', status: 400, error: `At most ${mostPlaces} channels with history in one stream` }
  }
  if (!searchParams.has('auth_signature')) return { app, channels, isSigned: false }
  const signed = { method: 'GET', target: new URL(pathname + search, href), body: Buffer.alloc(0) }
  const fault = signatureFault(signed, app.app, Date.now())
  return fault === undefined ? { app, channels, isSigned: true } : { reason: 'api-auth', status: 401, error: fault }
}

async function stream(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  { app, channels, isSigned, pass }: Asked & { readonly pass: Pass | undefined },
  cors: Record<string, string>,
  context: EventStreamContext,
): Promise<void> {
  const { connection, outbox } = open(request, response, target, app, context)
  const claim: Claim = { auth: undefined, channelData: target.searchParams.get('channel_data') ?? undefined, isVouchedFor: isSigned }
  if (pass !== undefined) givePass(connection, pass)
  const granted = new Map<string, Member | undefined>()
  for (const name of channels) {
    const access = await decided(connection, name, claim, context)
    if (connection.closing !== undefined) return
    if (access.kind === 'granted') granted.set(name, access.member)
    else if (access.kind === 'refused') {
      const { reason, status, error } = access.refusal
      context.connections.leave(connection, 'refused')
      return refuse(response, context, reason, status, `${name}: ${error}`, cors)
    }
  }
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // nginx would keep events back until its buffer is full.
    'x-accel-buffering': 'no',
    ...cors,
  })
  // Browsers wait so long before they come back: not all the same time, after a restart.
  response.write(`retry: ${1_000 + Math.floor(Math.random() * 2_000)}\n\n`)
  goOn(connection, outbox, granted, request, context)
}

/** Joins the channels, each from where `Last-Event-ID` says that the client stopped. */
function goOn(
  connection: Connection,
  outbox: EventStreamOutbox,
  granted: ReadonlyMap<string, Member | undefined>,
  request: IncomingMessage,
  context: EventStreamContext,
): void {
  const { rules } = context.settings
  const kept = new Set([...granted.keys()].filter(name => rules.historyOf(name) !== undefined))
  const written = request.headers['last-event-id']
  const stopped: ReadonlyMap<string, Position> = typeof written === 'string' ? readPlaces(written, kept) : new Map()
  if (kept.size > 0) {
    connection.tracker = makeTracker(new StreamPositions(stopped, id => outbox.pushId(id)), context.settings)
    // It shows this where it is cut off before it has a place.
    if (written === undefined) outbox.pushId(noPlaces)
  }
  for (const [name, member] of granted) {
    join(connection, name, member, context)
    const resumable = connection.subscriptions.get(name)?.resumable
    const from = stopped.get(name)
    if (written === undefined) resumable?.startNow()
    else resumable?.resume(from === undefined ? 'unknown' : { ...from, received: 0, socketId: undefined })
  }
}

function open(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  app: AppChannels,
  { connections, addressOf, outbox: shared }: EventStreamContext,
): { readonly connection: Connection; readonly outbox: EventStreamOutbox } {
  let overflowed = () => {}
  const outbox = new EventStreamOutbox(response, shared, () => overflowed())
  const connection = connections.open({
    app,
    address: addressOf(request),
    credentials: credentialsOf(request, target.search),
    transport: { isOneWay: true, close: () => response.end(), terminate: () => response.destroy() },
    outbox: overflow => {
      overflowed = overflow
      return outbox
    },
  })
  response.on('close', () => {
    connections.leave(connection, 'client')
    connections.gone(connection)
  })
  return { connection, outbox }
}

async function decided(connection: Connection, name: string, claim: Claim, context: EventStreamContext): Promise<Access> {
  const access = subscriptionAccess(connection, name, claim, context)
  if (access.kind !== 'ask') return access
  const decision = new AbortController()
  connection.pending ??= new Map()
  connection.pending.set(name, decision)
  const answer = await access.ask(decision.signal)
  connection.pending.delete(name)
  return answer
}

function refuse(
  response: ServerResponse,
  { counters }: EventStreamContext,
  reason: Parameters<EventStreamContext['counters']['refused']>[0],
  status: number,
  error: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  counters.refused(reason)
  respondError(response, status, error, headers)
}
