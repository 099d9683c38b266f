import type { ServerLimits } from '../config/router-config.ts'
import { channelKind } from './channel-kind.ts'
import { type Fields, isObject, ownValue } from './json-fields.ts'
import { type Member, type MemberReading, memberOf, readUserId, type SignedInUser } from './presence.ts'

export interface Allowed {
  readonly kind: 'allowed'
  /** Where it `asksWho`. */
  readonly member: Member | undefined
  readonly sharedSecret: string | undefined
}

/** `unsound`: neither a yes nor a no; `found` says what it is, and nothing of what it holds. */
export type AnswerReading = Allowed | { readonly kind: 'refused' } | { readonly kind: 'unsound'; readonly found: string }

export interface AnswerContext {
  /** Undefined for a sign-in. */
  readonly channel: string | undefined
  readonly user: SignedInUser | undefined
  readonly limits: ServerLimits
}

const keys: ReadonlySet<string> = new Set(['user_id', 'user_info', 'shared_secret'])
const mostKeysNamed = 5

/** What an `authorize` module has answered. An object that is something else, an error or a response, is no yes. */
export function readAnswer(answer: unknown, context: AnswerContext): AnswerReading {
  if (answer === false) return { kind: 'refused' }
  const { user, limits } = context
  const fields = answer === true ? { user_id: user?.id } : answer
  if (!isObject(fields) || !Object.keys(fields).every(key => keys.has(key))) return unsound(shapeOf(answer))
  const userId = ownValue(fields, 'user_id')
  const secret = ownValue(fields, 'shared_secret')
  if (userId !== undefined && readUserId(userId, limits) === undefined)
    return unsound(`a \`user_id\` that is not 1 to ${limits.userId} characters`)
  if (secret !== undefined && typeof secret !== 'string') return unsound('a `shared_secret` that is no text')
  if (answer !== true && userId === undefined && secret === undefined) return unsound(shapeOf(answer))
  const who = identity(fields, context)
  if (who !== undefined && 'fault' in who) return unsound(`${shapeOf(answer)}: ${who.fault}`)
  return { kind: 'allowed', member: who?.member, sharedSecret: secret }
}

/** Whether somebody has to say who it is: where members know of each other, and where a client signs in (without a channel). */
export function asksWho(channel: string | undefined): boolean {
  return channel === undefined || channelKind(channel).kind === 'presence'
}

function identity(fields: Fields, { channel, limits }: AnswerContext): MemberReading | undefined {
  if (!asksWho(channel)) return undefined
  if (channel !== undefined) return memberOf(fields, limits)
  if (ownValue(fields, 'user_id') === undefined) return { fault: 'a sign-in needs a `user_id`' }
  return memberOf(fields, { ...limits, memberInfo: Number.POSITIVE_INFINITY })
}

function unsound(found: string): AnswerReading {
  return { kind: 'unsound', found }
}

function shapeOf(answer: unknown): string {
  if (answer === undefined || answer === null || answer === true) return String(answer)
  if (Array.isArray(answer)) return 'a list'
  if (!isObject(answer)) return `a ${typeof answer}`
  const made: unknown = answer.constructor
  if (typeof made === 'function' && made !== Object) return `an object of the class ${made.name}`
  const named = Object.keys(answer).filter(key => answer[key] !== undefined)
  const more = named.length > mostKeysNamed ? ' and others' : ''
  return named.length === 0 ? 'an object without keys' : `an object with ${named.slice(0, mostKeysNamed).join(', ')}${more}`
}
