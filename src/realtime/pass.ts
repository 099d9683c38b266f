import { type ChannelPattern, matchesChannel, parseChannelPattern } from '../config/channel-pattern.ts'
import type { ServerLimits } from '../config/router-config.ts'
import { type Fields, ownValue } from './json-fields.ts'
import { memberOf, readUserId, type SignedInUser } from './presence.ts'

const mostPatterns = 100
const pattern = /^[A-Za-z0-9_=@,.;*-]{1,200}$/

/** What a valid token gives: who its bearer is, where it may subscribe without a signature, and until when. */
export interface Pass {
  readonly user: SignedInUser
  /** For the other members of presence channels; undefined where the token holds none. */
  readonly userInfo: unknown
  readonly channels: readonly ChannelPattern[]
  /** Epoch milliseconds. */
  readonly endsAt: number
}

/** The claims of a token whose signature and times hold. `fault` is for its bearer. */
export function readPass(
  claims: Fields,
  clockToleranceMs: number,
  limits: ServerLimits,
): { readonly pass: Pass } | { readonly fault: string } {
  const expiry = ownValue(claims, 'exp')
  if (typeof expiry !== 'number' || !Number.isFinite(expiry)) return { fault: 'The token needs `exp`, in seconds since 1970' }
  const subject = ownValue(claims, 'sub')
  const id = typeof subject === 'string' ? readUserId(subject, limits) : undefined
  if (id === undefined) return { fault: `The token needs a \`sub\` of 1 to ${limits.userId} characters` }
  const channels = ownValue(claims, 'channels') ?? []
  if (!isPatternList(channels)) return { fault: `\`channels\` of a token is a list of at most ${mostPatterns} channel patterns` }
  const userInfo = ownValue(claims, 'user_info')
  const reading = memberOf({ user_id: id, user_info: userInfo }, limits)
  if ('fault' in reading) return reading
  const data = JSON.stringify({ id, user_info: userInfo })
  return { pass: { user: { id, data }, userInfo, channels: channels.map(parseChannelPattern), endsAt: expiry * 1000 + clockToleranceMs } }
}

/** `now` is in epoch milliseconds. */
export function passAllows(pass: Pass | undefined, channel: string, now: number): pass is Pass {
  return pass !== undefined && now < pass.endsAt && passCovers(pass, channel)
}

/** Whatever the time is. */
export function passCovers({ channels }: Pass, channel: string): boolean {
  return channels.some(allowed => matchesChannel(allowed, channel))
}

function isPatternList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= mostPatterns && value.every(each => typeof each === 'string' && pattern.test(each))
}
