/** Channels that are fed from topics of their own, without any route file: `router consume`. */
export interface ChannelFeed {
  readonly channels: readonly string[]
  /** What a topic's name has before the channel's. */
  readonly topicPrefix: string
  /** The app whose channels they are; needed where router.yaml has several. */
  readonly app?: string | undefined
}

/** A route file that nobody has written. */
export interface ChannelSubscription {
  readonly file: string
  readonly text: string
}

/** The topic of a channel: `user.1` is `realtime_user_1`. Whatever could not stand in a topic's name, and the dot, becomes `_`. */
function channelTopic(channel: string, prefix: string): string {
  return prefix + channel.replaceAll(/[^A-Za-z0-9_-]/g, '_')
}

/**
 * One subscription for each channel, so that a channel that is added later starts at its topic's end as the first ones did. Messages that cannot
 * be read are logged, counted and passed over, unless router.yaml names a dead-letter topic: nobody may have asked for `<topic>.dlq` to be there.
 */
export function channelSubscriptions(feed: ChannelFeed, appDefaults: Readonly<Record<string, unknown>>): readonly ChannelSubscription[] {
  const { channels, topicPrefix, app } = feed
  const defaults = Object.hasOwn(appDefaults, 'deadLetter') ? {} : { defaults: { deadLetter: 'none', onFailure: 'skip' } }
  return channels.map(channel => ({
    file: `consume/${channel}.json`,
    text: JSON.stringify({
      topics: channelTopic(channel, topicPrefix),
      envelope: 'event',
      ...defaults,
      unmatched: { actions: [{ broadcast: app === undefined ? channel : { channel, app } }] },
    }),
  }))
}

/** What is wrong with a feed, in one sentence; undefined where nothing is. */
export function channelFeedFault({ channels, topicPrefix }: ChannelFeed): string | undefined {
  if (/[^A-Za-z0-9._-]/.test(topicPrefix)) return `the topic prefix ${topicPrefix} has characters that no topic's name may have`
  if (channels.length === 0) return 'no channel is named'
  const readers = new Map<string, string>()
  for (const channel of channels) {
    if (!/^[A-Za-z0-9_\-=@.;]{1,200}$/.test(channel))
      return `${JSON.stringify(channel)} is no channel: names are 1 to 200 letters, digits and _ - = @ . ;`
    const topic = channelTopic(channel, topicPrefix)
    if (topic.length > 249) return `the topic ${topic} has ${topic.length} characters, and Kafka takes at most 249`
    const other = readers.get(topic)
    if (other !== undefined) return `the channels ${other} and ${channel} would both be fed from the topic ${topic}`
    readers.set(topic, channel)
  }
  return undefined
}
