import { performance } from 'node:perf_hooks'
import type { Occupancy } from '../backplane/backplane.ts'
import { channelKind } from '../channel-kind.ts'
import type { AppChannels } from '../channels.ts'

export type ChannelAttribute = 'user_count' | 'subscription_count' | 'cache'

const known: ReadonlySet<string> = new Set(['user_count', 'subscription_count', 'cache'])

/** `info=user_count,subscription_count`: what is asked for, or what is wrong with it. */
export function readAttributes(written: unknown): ReadonlySet<ChannelAttribute> | string {
  if (written === undefined || written === null || written === '') return new Set()
  if (typeof written !== 'string') return '`info` must be a text, several with commas between'
  const attributes = new Set<ChannelAttribute>()
  for (const name of written.split(',').map(part => part.trim())) {
    if (!isAttribute(name)) return '`info` holds user_count, subscription_count and cache only'
    attributes.add(name)
  }
  return attributes
}

function isAttribute(name: string): name is ChannelAttribute {
  return known.has(name)
}

/** Why a channel does not have what is asked for (Pusher's HTTP API: user counts of presence channels, caches of cache channels). */
export function attributesFault(channel: string, attributes: ReadonlySet<ChannelAttribute>): string | undefined {
  const { kind, cached } = channelKind(channel)
  if (attributes.has('user_count') && kind !== 'presence') return '`user_count` is there for presence channels only'
  if (attributes.has('cache') && !cached) return '`cache` is there for cache channels only'
  return undefined
}

/** The attributes of channels over all instances, whether they have subscribers or not; those that one cannot have are left out. */
export function attributesOf(
  app: AppChannels,
  name: string,
  occupancy: Occupancy | undefined,
  attributes: ReadonlySet<ChannelAttribute>,
): Readonly<Record<string, unknown>> {
  const { kind, cached } = channelKind(name)
  const values: Record<string, unknown> = {}
  if (attributes.has('user_count') && kind === 'presence') values['user_count'] = occupancy?.users ?? 0
  if (attributes.has('subscription_count')) values['subscription_count'] = occupancy?.subscriptions ?? 0
  if (attributes.has('cache') && cached) values['cache'] = cacheOf(app, name)
  return values
}

function cacheOf(app: AppChannels, name: string): { readonly data: string; readonly ttl: number } | null {
  const now = performance.now()
  const cached = app.cache.get(name, now)
  return cached === undefined ? null : { data: cached.text, ttl: Math.ceil((cached.until - now) / 1000) }
}
