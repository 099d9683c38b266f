import type { ChannelLimits, ServerLimits } from '../config/router-config.ts'
import { type Fields, ownValue, parseObject } from './json-fields.ts'

/** Who somebody is on a presence channel. */
export interface Member {
  readonly userId: string
  /** JSON; undefined where nothing is told. */
  readonly info: string | undefined
}

/** A member with the number of its connections. */
export interface PresentMember extends Member {
  connections: number
}

export type MemberReading = { readonly member: Member } | { readonly fault: string }

/** `channel_data` of a subscription, as it was signed. */
export function readMember(channelData: string, limits: ServerLimits): MemberReading {
  const fields = parseObject(channelData)
  return fields === undefined ? { fault: '`channel_data` must be a JSON object' } : memberOf(fields, limits)
}

/** `{ user_id, user_info }`. A number as id is the text of it, as in Pusher's own examples. */
export function memberOf(fields: Fields, limits: ServerLimits): MemberReading {
  const userId = readUserId(ownValue(fields, 'user_id'), limits)
  if (userId === undefined) return { fault: `A presence channel needs a \`user_id\` of 1 to ${limits.userId} characters` }
  const written = ownValue(fields, 'user_info')
  const info = written === undefined || written === null ? undefined : JSON.stringify(written)
  if (info !== undefined && Buffer.byteLength(info) > limits.memberInfo) {
    return { fault: `\`user_info\` has at most ${limits.memberInfo} bytes` }
  }
  return { member: { userId, info } }
}

export function readUserId(value: unknown, limits: ServerLimits): string | undefined {
  const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
  return typeof text === 'string' && text.length > 0 && text.length <= limits.userId ? text : undefined
}

/** A user that signed in: what its client was told, and its id. */
export interface SignedInUser {
  readonly id: string
  /** JSON, as it was signed. */
  readonly data: string
}

/** `user_data` of a sign-in, as it was signed. */
export function readUser(userData: string, limits: ServerLimits): SignedInUser | undefined {
  const fields = parseObject(userData)
  const id = fields === undefined ? undefined : readUserId(ownValue(fields, 'id'), limits)
  return id === undefined ? undefined : { id, data: userData }
}

/** What the subscriber of a presence channel is told first, as JSON: `{"presence":{"ids":[...],"hash":{id:info},"count":n}}`. */
export function rosterJson(here: ReadonlyMap<string, Member>, elsewhere: ReadonlyMap<string, Member>): string {
  const ids: string[] = []
  const hash: string[] = []
  const add = ({ userId, info }: Member): void => {
    const id = JSON.stringify(userId)
    ids.push(id)
    hash.push(`${id}:${info ?? 'null'}`)
  }
  for (const member of here.values()) add(member)
  for (const member of elsewhere.values()) if (!here.has(member.userId)) add(member)
  return `{"presence":{"ids":[${ids.join()}],"hash":{${hash.join()}},"count":${ids.length}}}`
}

export function memberAddedJson({ userId, info }: Member): string {
  return `{"user_id":${JSON.stringify(userId)}${info === undefined ? '' : `,"user_info":${info}`}}`
}

/** `user_data` of a sign-in. */
export function userDataJson({ userId, info }: Member): string {
  return `{"id":${JSON.stringify(userId)}${info === undefined ? '' : `,"user_info":${info}`}}`
}

export function memberRemovedJson({ userId }: Member): string {
  return JSON.stringify({ user_id: userId })
}

/** Why nobody new fits; undefined where somebody does. A user that is there already always fits. */
export function rosterFault(
  here: ReadonlyMap<string, Member> | undefined,
  elsewhere: ReadonlyMap<string, Member>,
  member: Member,
  limits: ServerLimits,
  own: ChannelLimits | undefined,
): string | undefined {
  const most = own?.members ?? limits.members
  if (here?.has(member.userId) === true || elsewhere.has(member.userId)) return undefined
  let present = here?.size ?? 0
  // Members on several instances are few: most rosters need no exact count.
  if (present + elsewhere.size < most) return undefined
  for (const userId of elsewhere.keys()) if (here?.has(userId) !== true) present += 1
  if (present < most) return undefined
  return `A presence channel has at most ${most} members`
}
