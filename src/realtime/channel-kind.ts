/** What a channel's name says about it, longest prefix first. */
const kinds = [
  { prefix: 'private-encrypted-cache-', kind: 'encrypted', cached: true },
  { prefix: 'private-encrypted-', kind: 'encrypted', cached: false },
  { prefix: 'presence-cache-', kind: 'presence', cached: true },
  { prefix: 'private-cache-', kind: 'private', cached: true },
  { prefix: 'presence-', kind: 'presence', cached: false },
  { prefix: 'cache-', kind: 'public', cached: true },
  { prefix: 'private-', kind: 'private', cached: false },
  { prefix: '#server-to-user-', kind: 'user', cached: false },
  { prefix: '', kind: 'public', cached: false },
] as const

export type ChannelKind = (typeof kinds)[number]

const allowed = /^[A-Za-z0-9_\-=@,.;]+$/
const userPrefix = '#server-to-user-'

export function channelKind(channel: string): ChannelKind {
  for (const kind of kinds) if (channel.startsWith(kind.prefix)) return kind
  // The empty prefix is last, so the loop always returns.
  throw new Error('no channel kind has an empty prefix')
}

/** The channel that reaches every connection of a user who signed in. */
export function userChannel(userId: string): string {
  return userPrefix + userId
}

export interface ChannelNameLimits {
  readonly channelName: number
  readonly userId: number
}

/** Why events cannot be sent to `channel`; undefined where they can. */
export function channelNameFault(channel: string, limits: ChannelNameLimits): string | undefined {
  if (channel.length === 0) return 'A channel name must not be empty'
  if (channel.startsWith(userPrefix)) {
    const { length } = channel.slice(userPrefix.length)
    if (length === 0) return 'The id of the user is missing'
    return length > limits.userId ? `A user id has at most ${limits.userId} characters, this one has ${length}` : undefined
  }
  if (channel.length > limits.channelName) {
    return `A channel name has at most ${limits.channelName} characters, this one has ${channel.length}`
  }
  if (!allowed.test(channel)) return 'A channel name may hold letters, digits and _ - = @ , . ; only'
  return undefined
}

/** Why `event` cannot be the name of an event that is sent to subscribers; undefined where it can. */
export function eventNameFault(event: string, maxLength: number): string | undefined {
  if (event.length === 0) return 'An event name must not be empty'
  if (event.length > maxLength) return `An event name has at most ${maxLength} characters, this one has ${event.length}`
  // Clients take these names for the protocol's own messages.
  if (event.startsWith('pusher:') || event.startsWith('pusher_internal:'))
    return 'Event names that start with pusher: or pusher_internal: are reserved'
  return undefined
}
