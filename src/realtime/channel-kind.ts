/** What a channel's name says about it, longest prefix first. `available: false` kinds are known to the protocol and refused by this version. */
const kinds = [
  { prefix: 'private-encrypted-cache-', kind: 'encrypted', available: false },
  { prefix: 'private-encrypted-', kind: 'encrypted', available: false },
  { prefix: 'presence-cache-', kind: 'presence', available: false },
  { prefix: 'private-cache-', kind: 'cache', available: false },
  { prefix: 'presence-', kind: 'presence', available: false },
  { prefix: 'cache-', kind: 'cache', available: false },
  { prefix: 'private-', kind: 'private', available: true },
  { prefix: '', kind: 'public', available: true },
] as const

export type ChannelKind = (typeof kinds)[number]

const allowed = /^[A-Za-z0-9_\-=@,.;]+$/

export function channelKind(channel: string): ChannelKind {
  for (const kind of kinds) if (channel.startsWith(kind.prefix)) return kind
  // The empty prefix is last, so the loop always returns.
  throw new Error('no channel kind has an empty prefix')
}

/** Why `channel` cannot be a channel's name; undefined where it can. */
export function channelNameFault(channel: string, maxLength: number): string | undefined {
  if (channel.length === 0) return 'A channel name must not be empty'
  if (channel.length > maxLength) return `A channel name has at most ${maxLength} characters, this one has ${channel.length}`
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
