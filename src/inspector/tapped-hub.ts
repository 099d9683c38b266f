import type { Hub } from '../realtime/hub.ts'

/** More than a person can look at, few enough for one socket to subscribe to. */
const mostChannels = 500

export interface ChannelListener {
  /** A channel got its first broadcast, whether anybody was subscribed or not. Called once for each of the first 500 channels. */
  channelSeen(channel: string): void
  /** The event that made the channel known: nobody could have subscribed to it in time. */
  firstEvent(channel: string, event: string, data: unknown): void
}

/**
 * A hub that tells a listener which channels of one app broadcasts go to. It answers as the hub behind it does, with one difference:
 * the first event of an unknown channel is wanted, so that its data gets rendered and the listener can show it.
 */
export function tapHub(hub: Hub, app: string, listener: ChannelListener): Hub {
  const seen = new Set<string>()
  const wanted = new Set<string>()

  const note = (of: string, channel: string): void => {
    if (of !== app || seen.has(channel) || seen.size >= mostChannels) return
    seen.add(channel)
    wanted.add(channel)
    listener.channelSeen(channel)
  }

  return {
    hasSubscribers(of, channel) {
      note(of, channel)
      return (of === app && wanted.has(channel)) || hub.hasSubscribers(of, channel)
    },
    broadcast(of, channel, event, data, except, source) {
      const done = hub.broadcast(of, channel, event, data, except, source)
      note(of, channel)
      if (of === app && wanted.delete(channel)) listener.firstEvent(channel, event, data)
      return done
    },
  }
}
