import type { Broadcaster } from './broadcaster.ts'
import { type ClientEventContext, sendClientEvent } from './client-events.ts'
import { closeCodes } from './close-code.ts'
import { type Connection, sendError, sendMessage } from './connection.ts'
import { type Fields, ownObject, ownText, parseObject } from './json-fields.ts'
import type { Pass } from './pass.ts'
import { readUser } from './presence.ts'
import { resume, track } from './resume/resume-messages.ts'
import { sameText, userAuth } from './signature.ts'
import { type SubscribeContext, subscribe, unsubscribe } from './subscribe.ts'
import { takeToken } from './take-token.ts'
import { isToken } from './token-verifier.ts'

export interface ClientMessagesContext extends SubscribeContext, ClientEventContext {
  readonly broadcaster: Broadcaster
}

/** Why a message is answered with `pusher:error`. */
interface MessageFault {
  readonly reason: 'message' | 'client-event' | 'client-event-rate' | 'sign-in' | 'token'
  readonly code: number
  readonly message: string
}

/** Acts on one text frame from a client. Whatever it holds, the connection stays: what makes no sense is answered with `pusher:error`. */
export function receiveMessage(connection: Connection, text: string, context: ClientMessagesContext): void {
  tell(connection, act(connection, text, context), context)
}

function tell(connection: Connection, found: MessageFault | undefined, { counters }: ClientMessagesContext): void {
  if (found === undefined) return
  counters.refused(found.reason)
  sendError(connection, found.code, found.message)
}

function act(connection: Connection, text: string, context: ClientMessagesContext): MessageFault | undefined {
  const message = parseObject(text)
  const event = message === undefined ? undefined : ownText(message, 'event')
  if (message === undefined || event === undefined) return fault('A message is a JSON object with a text `event`')
  const data = ownObject(message, 'data')
  switch (event) {
    case 'pusher:ping':
      sendMessage(connection, { event: 'pusher:pong', data: '{}' })
      return undefined
    case 'pusher:pong':
      return undefined
    case 'pusher:subscribe':
      return subscribeTo(connection, data, context)
    case 'pusher:unsubscribe':
      return unsubscribeFrom(connection, data)
    case 'pusher:signin':
      return signIn(connection, data, context)
    case 'router:auth':
      return authorize(connection, data, context)
    case 'router:track':
      track(connection, context.resuming)
      return undefined
    case 'router:resume': {
      const wrong = resume(connection, data)
      return wrong === undefined ? undefined : fault(wrong)
    }
    default:
      return event.startsWith('client-') ? sendClientEvent(connection, event, message, context) : fault('Unknown event')
  }
}

function fault(message: string): MessageFault {
  return { reason: 'message', code: closeCodes.invalidMessage, message }
}

function subscribeTo(connection: Connection, data: Fields | undefined, context: ClientMessagesContext): MessageFault | undefined {
  const channel = data === undefined ? undefined : ownText(data, 'channel')
  if (data === undefined || channel === undefined) return fault('`pusher:subscribe` needs a `channel` in its data')
  subscribe(connection, channel, { auth: ownText(data, 'auth'), channelData: ownText(data, 'channel_data') }, context)
  return undefined
}

function unsubscribeFrom(connection: Connection, data: Fields | undefined): MessageFault | undefined {
  const channel = data === undefined ? undefined : ownText(data, 'channel')
  if (channel === undefined) return fault('`pusher:unsubscribe` needs a `channel` in its data')
  unsubscribe(connection, channel)
  return undefined
}

function signIn(connection: Connection, data: Fields | undefined, context: ClientMessagesContext): MessageFault | undefined {
  const { settings } = context
  const auth = data === undefined ? undefined : ownText(data, 'auth')
  if (auth !== undefined && connection.app.tokens !== undefined && isToken(auth)) {
    void signInByToken(connection, auth, context, ({ user }) => {
      sendMessage(connection, { event: 'pusher:signin_success', data: JSON.stringify({ user_data: user.data }) })
    })
    return undefined
  }
  const userData = data === undefined ? undefined : ownText(data, 'user_data')
  if (auth === undefined || userData === undefined) return fault('`pusher:signin` needs `auth` and `user_data` in its data')
  if (!sameText(userAuth(connection.app.app, connection.socketId, userData), auth)) {
    return notSignedIn('The signature of `auth` is wrong for this socket and user')
  }
  const user = readUser(userData, settings.limits)
  if (user === undefined) return notSignedIn(`\`user_data\` needs an \`id\` of 1 to ${settings.limits.userId} characters`)
  if (connection.user !== undefined && connection.user.id !== user.id) return notSignedIn('This connection has signed in as another user')
  connection.isUsed = true
  connection.app.signIn(connection, user)
  sendMessage(connection, { event: 'pusher:signin_success', data: JSON.stringify({ user_data: userData }) })
  return undefined
}

/** Says who the client is, and renews what it may before its token expires. */
function authorize(connection: Connection, data: Fields | undefined, context: ClientMessagesContext): MessageFault | undefined {
  const token = data === undefined ? undefined : ownText(data, 'token')
  if (token === undefined) return fault('`router:auth` needs a `token` in its data')
  void signInByToken(connection, token, context, ({ user, endsAt }) => {
    const expiresIn = Math.max(0, Math.floor((endsAt - Date.now()) / 1000))
    sendMessage(connection, { event: 'router:authorized', data: JSON.stringify({ user_id: user.id, expires_in: expiresIn }) })
  })
  return undefined
}

async function signInByToken(
  connection: Connection,
  token: string,
  context: ClientMessagesContext,
  confirm: (pass: Pass) => void,
): Promise<void> {
  const answer = await takeToken(connection, token, context)
  if (connection.closing !== undefined) return
  if (answer.kind === 'valid') confirm(answer.pass)
  else {
    const code = answer.kind === 'refused' ? closeCodes.unauthorized : closeCodes.overCapacity
    tell(connection, { reason: 'token', code, message: answer.error }, context)
  }
}

function notSignedIn(message: string): MessageFault {
  return { reason: 'sign-in', code: closeCodes.unauthorized, message }
}
