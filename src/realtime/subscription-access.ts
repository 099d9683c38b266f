import type { AskModule, Verdict } from './ask-module.ts'
import { channelKind, channelNameFault, userChannel } from './channel-kind.ts'
import type { Connection } from './connection.ts'
import type { RefusalReason } from './counters.ts'
import { ownValue, parseObject } from './json-fields.ts'
import { type Pass, passAllows } from './pass.ts'
import { type Member, memberOf, readMember, readUserId, rosterFault } from './presence.ts'
import { channelAuth, sameText } from './signature.ts'
import { type TokenContext, takeToken } from './take-token.ts'
import { isToken } from './token-verifier.ts'

/** What a client shows for a channel. */
export interface Claim {
  /** `key:signature`, or a token. */
  readonly auth: string | undefined
  readonly channelData: string | undefined
  /** The app has signed for it already, in another way. */
  readonly isVouchedFor?: boolean
}

export interface SubscriptionRefusal {
  readonly reason: RefusalReason
  readonly type: string
  readonly error: string
  readonly status: number
}

export type Settled =
  | { readonly kind: 'granted'; readonly member: Member | undefined }
  | { readonly kind: 'refused'; readonly refusal: SubscriptionRefusal }

export type Access = Settled | { readonly kind: 'ask'; readonly ask: (signal: AbortSignal) => Promise<Settled> }

export interface AccessContext extends TokenContext {
  readonly askModule: AskModule
}

/** Whether a connection may subscribe to a channel; `ask` where only a module of the project can tell, or other instances have to be heard first. */
export function subscriptionAccess(connection: Connection, name: string, claim: Claim, context: AccessContext): Access {
  const allowed = permission(connection, name, claim, context)
  if (allowed.kind === 'ask') {
    return { kind: 'ask', ask: async signal => await caughtUp(connection, name, await allowed.ask(signal), context) }
  }
  const answer = caughtUp(connection, name, allowed, context)
  return answer instanceof Promise ? { kind: 'ask', ask: () => answer } : answer
}

/** What is allowed still has to fit, once the members elsewhere are known. */
function caughtUp(connection: Connection, name: string, answer: Settled, context: AccessContext): Settled | Promise<Settled> {
  const known = answer.kind === 'granted' ? connection.app.backplane.catchUp(name) : undefined
  if (answer.kind === 'refused' || known === undefined) return answer
  return known.then(() => fitting(connection, name, answer.member, context))
}

function permission(connection: Connection, name: string, claim: Claim, context: AccessContext): Access {
  const { limits, rules } = context.settings
  const { app } = connection
  if (channelKind(name).kind === 'user') return userAccess(connection, name)
  const nameFault = channelNameFault(name, limits)
  if (nameFault !== undefined) return refused('channel-name', 'InvalidChannel', nameFault, 400)
  if (connection.subscriptions.size + (connection.pending?.size ?? 0) >= limits.channels) {
    return refused('subscription-limit', 'LimitReached', `A socket has at most ${limits.channels} channels`, 429)
  }
  const rule = rules.of(name)
  const isOpen = channelKind(name).kind === 'public'
  const access = rule?.access ?? (isOpen ? 'public' : 'signed')
  if (access === 'public' && isOpen) return fitting(connection, name, undefined, context)
  if (claim.isVouchedFor === true) return signedAccess(connection, name, claim.channelData, context)
  const { auth } = claim
  if (auth !== undefined && app.tokens !== undefined && isToken(auth)) {
    return { kind: 'ask', ask: () => tokenAccess(connection, name, auth, claim.channelData, context) }
  }
  if (auth !== undefined && auth !== '') {
    // Who changed the data of the member has changed what was signed.
    if (!sameText(channelAuth(app.app, connection.socketId, name, claim.channelData), auth)) {
      return unauthorized('The signature of `auth` is wrong for this socket and channel')
    }
    return signedAccess(connection, name, claim.channelData, context)
  }
  if (passAllows(connection.pass, name, Date.now())) return passAccess(connection, name, connection.pass, claim.channelData, context)
  const module = rule?.authorize
  if (access !== 'authorize' || module === undefined) return unauthorized('This channel needs `auth`')
  return {
    kind: 'ask',
    ask: async signal => answeredAccess(connection, name, await context.askModule(module, connection, name, signal), context),
  }
}

function userAccess(connection: Connection, name: string): Access {
  const { user } = connection
  if (user !== undefined && userChannel(user.id) === name) return { kind: 'granted', member: undefined }
  return unauthorized('Only the user who signed in may subscribe')
}

function signedAccess(connection: Connection, name: string, channelData: string | undefined, context: AccessContext): Settled {
  if (channelKind(name).kind !== 'presence') return fitting(connection, name, undefined, context)
  if (channelData === undefined) return unauthorized('A presence channel needs `channel_data`')
  const reading = readMember(channelData, context.settings.limits)
  return 'fault' in reading ? unauthorized(reading.fault) : fitting(connection, name, reading.member, context)
}

async function tokenAccess(
  connection: Connection,
  name: string,
  token: string,
  channelData: string | undefined,
  context: AccessContext,
): Promise<Settled> {
  const answer = await takeToken(connection, token, context)
  if (answer.kind !== 'valid') return refused('token', 'AuthError', answer.error, answer.kind === 'refused' ? 401 : 503)
  if (!passAllows(answer.pass, name, Date.now())) return unauthorized('The token does not allow this channel')
  return passAccess(connection, name, answer.pass, channelData, context)
}

/** Who its bearer is says the token: of `channel_data`, which anybody could have written, only the id counts, as what the client thinks it is. */
function passAccess(connection: Connection, name: string, pass: Pass, channelData: string | undefined, context: AccessContext): Settled {
  if (channelKind(name).kind !== 'presence') return fitting(connection, name, undefined, context)
  const { limits } = context.settings
  const thought = channelData === undefined ? pass.user.id : readUserId(ownValue(parseObject(channelData) ?? {}, 'user_id'), limits)
  if (thought !== pass.user.id) return unauthorized('The `user_id` of `channel_data` is not the `sub` of the token')
  const reading = memberOf({ user_id: pass.user.id, user_info: pass.userInfo }, limits)
  return 'fault' in reading ? unauthorized(reading.fault) : fitting(connection, name, reading.member, context)
}

function answeredAccess(connection: Connection, name: string, verdict: Verdict, context: AccessContext): Settled {
  if (verdict.kind === 'allowed') return fitting(connection, name, verdict.member, context)
  return refused('subscription-auth', 'AuthError', verdict.error, verdict.kind === 'undecided' ? 503 : 401)
}

/** Room in the channel, the last thing asked: it must be free at the moment of subscribing. */
function fitting({ app }: Connection, name: string, member: Member | undefined, { settings }: AccessContext): Settled {
  const channel = app.channels.get(name)
  const own = (channel === undefined ? settings.rules.of(name) : channel.rule)?.limits
  const fault =
    member === undefined ? undefined : rosterFault(channel?.members, app.backplane.membersElsewhere(name), member, settings.limits, own)
  if (fault !== undefined) return refused('subscription-limit', 'LimitReached', fault, 429)
  const most = own?.subscribers
  if (most !== undefined && (channel?.subscriptions.length ?? 0) >= most) {
    return refused('subscription-limit', 'LimitReached', `The channel has at most ${most} subscribers`, 429)
  }
  return { kind: 'granted', member }
}

function unauthorized(error: string): Settled {
  return refused('subscription-auth', 'AuthError', error, 401)
}

function refused(reason: RefusalReason, type: string, error: string, status: number): Settled {
  return { kind: 'refused', refusal: { reason, type, error, status } }
}
