import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AskModule } from '../ask-module.ts'
import { type Allowed, asksWho } from '../authorize-answer.ts'
import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { AppChannels } from '../channels.ts'
import type { Connection } from '../connection.ts'
import type { Counters } from '../counters.ts'
import { credentialsOf } from '../credentials.ts'
import { type Fields, parseObject } from '../json-fields.ts'
import type { OriginRule } from '../origin.ts'
import { type Member, memberAddedJson, memberOf, type SignedInUser, userDataJson } from '../presence.ts'
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
  /** By app key. */
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
  const asker = findAsker(target.searchParams.get('key') ?? form.get('key'), form.get('socket_id') ?? '', context)
  if ('status' in asker) return asker
  const isSignIn = target.pathname === signInPath
  const channel = isSignIn ? undefined : (form.get('channel_name') ?? '')
  const fault = channel === undefined ? undefined : channelFault(channel, context)
  if (fault !== undefined) return refusal(403, fault)
  const rule = channel === undefined ? context.settings.rules.signIn : context.settings.rules.of(channel)
  if (rule?.authorize !== undefined) {
    const parameters = [target.search.slice(1), form.toString()].filter(part => part !== '').join('&')
    const verdict = await context.askModule(rule.authorize, { ...asker, credentials: credentialsOf(request, parameters) }, channel, signal)
    if (verdict.kind !== 'allowed') return refusal(verdict.kind === 'undecided' ? 503 : 403, verdict.error)
    return signed(asker, channel, verdict)
  }
  if (context.mode !== 'dev') return refusal(403, 'No rule with `authorize` decides on this: the app signs for it')
  if (!isLocalRequest(request)) return refusal(403, 'Without a rule this endpoint serves the machine it runs on only')
  const who = { user_id: form.get('user_id') ?? asker.user?.id ?? asker.socketId, user_info: {} }
  const reading = memberOf(who, context.settings.limits)
  return 'fault' in reading ? refusal(400, reading.fault) : signed(asker, channel, { member: reading.member, sharedSecret: undefined })
}

interface SocketAsker {
  readonly app: AppChannels
  readonly socketId: string
  readonly user: SignedInUser | undefined
}

/** The app of a socket that is here is known; one of another instance is of the app that the request names, or of the only one. */
function findAsker(key: string | null, socketId: string, { connections, apps }: AuthEndpointContext): SocketAsker | Answer {
  const named = key === null ? undefined : apps.get(key)
  if (key !== null && named === undefined) return refusal(404, 'There is no app with this `key`')
  if (!/^\d+\.\d+$/.test(socketId)) return refusal(403, '`socket_id` is not the id of a socket')
  const connection = connections.get(socketId)
  if (connection !== undefined) {
    const { app, user } = connection
    return named === undefined || named === app
      ? { app, socketId, user }
      : refusal(403, 'The socket is not one of the app that `key` names')
  }
  const [only, ...others] = apps.values()
  const app = named ?? (others.length === 0 ? only : undefined)
  if (app !== undefined) return { app, socketId, user: undefined }
  return refusal(
    400,
    'This instance does not know the socket, and serves several apps: add `key=` and the key of its app to the parameters',
  )
}

function channelFault(channel: string, { settings }: AuthEndpointContext): string | undefined {
  const fault = channelNameFault(channel, settings.limits)
  if (fault !== undefined) return fault
  const { kind } = channelKind(channel)
  return kind === 'public' || kind === 'user' ? 'This channel needs no authorisation' : undefined
}

function signed(asker: SocketAsker, channel: string | undefined, { member, sharedSecret }: Omit<Allowed, 'kind'>): Answer {
  const { app, socketId } = asker
  if (channel === undefined || asksWho(channel)) {
    return member === undefined ? refusal(403, 'Nobody says who this is') : signedMember(asker, channel, member)
  }
  const auth = channelAuth(app.app, socketId, channel)
  if (channelKind(channel).kind !== 'encrypted') return { status: 200, body: { auth } }
  // The key to an encrypted channel is the app's alone: this server never has it.
  return sharedSecret === undefined
    ? refusal(403, 'An encrypted channel needs a `shared_secret` of its module')
    : { status: 200, body: { auth, shared_secret: sharedSecret } }
}

function signedMember({ app, socketId }: SocketAsker, channel: string | undefined, member: Member): Answer {
  if (channel === undefined) {
    const userData = userDataJson(member)
    return { status: 200, body: { auth: userAuth(app.app, socketId, userData), user_data: userData } }
  }
  const channelData = memberAddedJson(member)
  return { status: 200, body: { auth: channelAuth(app.app, socketId, channel, channelData), channel_data: channelData } }
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
