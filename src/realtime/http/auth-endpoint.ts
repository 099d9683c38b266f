import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AskModule } from '../ask-module.ts'
import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { AppChannels } from '../channels.ts'
import type { Connection } from '../connection.ts'
import type { Counters } from '../counters.ts'
import { credentialsOf } from '../credentials.ts'
import { type Fields, isObject, ownText, ownValue, parseObject } from '../json-fields.ts'
import type { OriginRule } from '../origin.ts'
import { memberAddedJson, memberOf, readUserId } from '../presence.ts'
import type { LiveSettings } from '../settings.ts'
import { channelAuth, userAuth } from '../signature.ts'
import { corsHeaders } from './cors.ts'
import { isLocalRequest } from './local-request.ts'
import { readBody } from './request-body.ts'
import { respond, respondError, respondJson } from './respond.ts'

/** pusher-js's default for channels, Laravel Echo's, and pusher-js's for sign-in. */
export const authPaths: ReadonlySet<string> = new Set(['/pusher/auth', '/broadcasting/auth', '/pusher/user-auth'])
const signInPath = '/pusher/user-auth'
const largestForm = 16 * 1024
const methods = 'POST, OPTIONS'

export interface AuthEndpointContext {
  /** By app id. */
  readonly apps: ReadonlyMap<string, AppChannels>
  /** By socket id. */
  readonly connections: ReadonlyMap<string, Connection>
  readonly counters: Counters
  readonly settings: LiveSettings
  readonly originAllowed: OriginRule
  readonly askModule: AskModule
  readonly mode: 'dev' | 'run'
}

interface Answer {
  readonly status: number
  readonly body: Fields
}

/**
 * The authorisation endpoint, for teams without one of their own: where the rule of a channel names an `authorize` module it signs for whoever the
 * module lets in. In `dev`, on the machine itself, it signs for everybody else's channels too.
 */
export async function serveAuth(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  context: AuthEndpointContext,
): Promise<void> {
  const { origin, host } = request.headers
  if (origin !== undefined && !context.originAllowed(origin, host)) return respondError(response, 403, 'Pages of this origin may not ask')
  const cors = corsHeaders(request, methods)
  if (request.method === 'OPTIONS') return respond(response, 204, 'text/plain', '', cors)
  if (request.method !== 'POST') return respondError(response, 405, 'POST only', { ...cors, allow: methods })
  const read = await readBody(request, largestForm)
  if (read.kind !== 'read') return respondError(response, 413, 'The body is too large', { ...cors, connection: 'close' })
  const form = readForm(request, read.body)
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const { status, body } = await answer(request, target, form, context, gone.signal)
  if (status !== 200) context.counters.refused('endpoint-auth')
  respondJson(response, status, body, cors)
}

async function answer(
  request: IncomingMessage,
  target: URL,
  form: URLSearchParams,
  context: AuthEndpointContext,
  signal: AbortSignal,
): Promise<Answer> {
  const asker = findAsker(form, context)
  if (asker === undefined) return refusal(403, '`socket_id` is not the id of a connected socket')
  const isSignIn = target.pathname === signInPath
  const channel = isSignIn ? undefined : (form.get('channel_name') ?? '')
  const fault = channel === undefined ? undefined : channelFault(channel, context)
  if (fault !== undefined) return refusal(403, fault)
  const rule = channel === undefined ? context.settings.rules.signIn : context.settings.rules.of(channel)
  const signer = { ...asker, channel, settings: context.settings }
  if (rule?.authorize !== undefined) {
    const parameters = [target.search.slice(1), form.toString()].filter(part => part !== '').join('&')
    const given = await context.askModule(rule.authorize, { ...asker, credentials: credentialsOf(request, parameters) }, channel, signal)
    if (given === undefined) return refusal(503, 'This cannot be decided at the moment')
    if (given !== true && !isObject(given)) return refusal(403, 'This was not allowed')
    return signed(isObject(given) ? given : { user_id: asker.user?.id }, signer)
  }
  if (context.mode !== 'dev') return refusal(403, 'No rule with `authorize` decides on this: the app signs for it')
  if (!isLocalRequest(request)) return refusal(403, 'Without a rule this endpoint serves the machine it runs on only')
  return signed({ user_id: form.get('user_id') ?? asker.user?.id ?? asker.socketId, user_info: {} }, signer)
}

/** A request does not say which app it is for; the socket knows. With one app that may be another instance's socket. */
function findAsker(form: URLSearchParams, { connections, apps }: AuthEndpointContext) {
  const socketId = form.get('socket_id') ?? ''
  const connection = connections.get(socketId)
  const [only, ...others] = apps.values()
  const app = connection?.app ?? (others.length === 0 && /^\d+\.\d+$/.test(socketId) ? only : undefined)
  return app === undefined ? undefined : { app, socketId, user: connection?.user }
}

function channelFault(channel: string, { settings }: AuthEndpointContext): string | undefined {
  const fault = channelNameFault(channel, settings.limits)
  if (fault !== undefined) return fault
  const { kind } = channelKind(channel)
  return kind === 'public' || kind === 'user' ? 'This channel needs no authorisation' : undefined
}

interface Signer {
  readonly app: AppChannels
  readonly socketId: string
  /** Undefined for a sign-in. */
  readonly channel: string | undefined
  readonly settings: LiveSettings
}

function signed(given: Fields, { app, socketId, channel, settings }: Signer): Answer {
  const { limits } = settings
  if (channel === undefined) {
    const id = readUserId(ownValue(given, 'user_id'), limits)
    if (id === undefined) return refusal(500, 'The module names no `user_id`')
    const userData = JSON.stringify({ id, user_info: ownValue(given, 'user_info') })
    return { status: 200, body: { auth: userAuth(app.app, socketId, userData), user_data: userData } }
  }
  const { kind } = channelKind(channel)
  if (kind === 'presence') {
    const reading = memberOf(given, limits)
    if ('fault' in reading) return refusal(500, reading.fault)
    const channelData = memberAddedJson(reading.member)
    return { status: 200, body: { auth: channelAuth(app.app, socketId, channel, channelData), channel_data: channelData } }
  }
  const auth = channelAuth(app.app, socketId, channel)
  if (kind !== 'encrypted') return { status: 200, body: { auth } }
  const secret = ownText(given, 'shared_secret')
  // The key to an encrypted channel is the app's alone: this server never has it.
  return secret === undefined
    ? refusal(403, 'An encrypted channel needs a `shared_secret` of its module')
    : { status: 200, body: { auth, shared_secret: secret } }
}

function refusal(status: number, error: string): Answer {
  return { status, body: { error } }
}

/** pusher-js posts forms; JSON is what others find natural. */
function readForm({ headers }: IncomingMessage, body: Buffer): URLSearchParams {
  const text = body.toString('utf8')
  if (headers['content-type']?.startsWith('application/json') !== true) return new URLSearchParams(text)
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(parseObject(text) ?? {})) if (typeof value === 'string') form.append(name, value)
  return form
}
