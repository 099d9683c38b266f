import type { IncomingMessage, ServerResponse } from 'node:http'
import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { Connection } from '../connection.ts'
import type { OriginRule } from '../origin.ts'
import type { LiveSettings } from '../settings.ts'
import { channelAuth } from '../signature.ts'
import { isLocalRequest } from './local-request.ts'
import { readBody } from './request-body.ts'
import { respond, respondError, respondJson } from './respond.ts'

/** pusher-js's default, and Laravel Echo's. */
export const authPaths: ReadonlySet<string> = new Set(['/pusher/auth', '/broadcasting/auth'])
const largestForm = 8 * 1024

export interface DevAuthContext {
  /** By socket id. */
  readonly connections: ReadonlyMap<string, Connection>
  readonly settings: LiveSettings
  readonly originAllowed: OriginRule
}

/**
 * The authorisation endpoint of `router dev`: it signs every private channel for whoever asks on this machine. In production the application has
 * its own.
 */
export async function serveDevAuth(request: IncomingMessage, response: ServerResponse, context: DevAuthContext): Promise<void> {
  const { origin, host } = request.headers
  if (!isLocalRequest(request)) return respondError(response, 403, 'This endpoint serves the machine it runs on only')
  if (origin !== undefined && !context.originAllowed(origin, host)) return respondError(response, 403, 'Pages of this origin may not ask')
  const cors = corsHeaders(request, origin)
  if (request.method === 'OPTIONS') return respond(response, 204, 'text/plain', '', cors)
  if (request.method !== 'POST') return respondError(response, 405, 'POST only', { ...cors, allow: 'POST, OPTIONS' })
  const read = await readBody(request, largestForm)
  if (read.kind !== 'read') return respondError(response, 413, 'The body is too large', { ...cors, connection: 'close' })
  const form = new URLSearchParams(read.body.toString('utf8'))
  const channel = form.get('channel_name') ?? ''
  // A request does not say which app it is for; the socket knows.
  const connection = context.connections.get(form.get('socket_id') ?? '')
  if (connection === undefined) return respondError(response, 403, '`socket_id` is not the id of a connected socket', cors)
  const fault = channelNameFault(channel, context.settings.limits.channelName) ?? kindFault(channel)
  if (fault !== undefined) return respondError(response, 403, fault, cors)
  respondJson(response, 200, { auth: channelAuth(connection.app.app, connection.socketId, channel) }, cors)
}

function kindFault(channel: string): string | undefined {
  const { kind, available } = channelKind(channel)
  if (!available) return `${kind} channels are not available in this version`
  return kind === 'private' ? undefined : 'This channel needs no authorisation'
}

function corsHeaders(request: IncomingMessage, origin: string | undefined): Record<string, string> {
  if (origin === undefined) return {}
  const requested = request.headers['access-control-request-headers']
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'POST, OPTIONS',
    vary: 'Origin',
    ...(requested === undefined ? {} : { 'access-control-allow-headers': requested }),
  }
}
