/** What is used of pusher-js 8. */
export interface PusherClient {
  readonly connection: PusherConnection
  /** Undefined where the page is not subscribed to it. */
  channel(name: string): unknown
  send_event(name: string, data: object): unknown
}

export interface PusherConnection {
  readonly state: string
  readonly socket_id: string
  bind(event: string, callback: (message: Message) => void): unknown
  unbind(event: string, callback: (message: Message) => void): unknown
}

interface Message {
  readonly event: string
  readonly channel?: string
  readonly data: Told
}

/** The data of the router's own messages. */
interface Told {
  readonly channel: string
  readonly epoch: string
  readonly serial: number
  readonly replayed: number
  readonly reason: GapReason
}

/**
 * `position_expired`: some of what was missed is no longer kept. `epoch_changed`: the history was lost. `unavailable`: nobody could say what was
 * missed.
 */
export type GapReason = 'position_expired' | 'epoch_changed' | 'unavailable'

export interface ResumableOptions {
  /** Something was missed for good: fetch the state anew. What comes from now on goes on without a gap. */
  readonly onGap?: (channel: string, reason: GapReason) => void
  /** After a reconnect all that was missed has come, as events like any other. */
  readonly onResumed?: (channel: string, replayed: number) => void
}

interface Place {
  readonly epoch: string
  readonly serial: number
  /** Of the connection on which the place was told. */
  readonly socket: string
  /** Events that have come since. */
  received: number
}

/** Has pusher-js go on where it stopped after a reconnect, on channels with history. Call it before the first `subscribe`; the answer stops it. */
export function resumable(pusher: PusherClient, { onGap, onResumed }: ResumableOptions = {}): () => void {
  const { connection } = pusher
  /** Of channels with history, from when they are told on; not from a gap until the next one. */
  const places = new Map<string, Place>()
  /** The connection on which each channel was last begun. */
  const begun = new Map<string, number>()
  let session = 0

  const begin = () => {
    if (connection.state !== 'connected') return
    session++
    for (const name of begun.keys()) if (!pusher.channel(name)) begun.delete(name)
    pusher.send_event('router:track', {})
  }

  const subscribed = (channel: string) => {
    const before = begun.get(channel)
    begun.set(channel, session)
    // Where the page had left the channel it begins anew.
    if (!before || before === session) places.delete(channel)
    const place = places.get(channel)
    // Without a place it was cut off before it was told one: where the channel has a history, the router answers that nobody can know what was missed.
    const from = place
      ? { epoch: place.epoch, serial: place.serial, received: place.received, socket_id: place.socket }
      : before && before !== session && { returning: true }
    pusher.send_event('router:resume', { channel, ...from })
  }

  const hear = ({ event, channel, data }: Message) => {
    if (event === 'router:position') {
      places.set(data.channel, { epoch: data.epoch, serial: data.serial, socket: connection.socket_id, received: 0 })
    } else if (event === 'router:resume_failed') {
      places.delete(data.channel)
      onGap?.(data.channel, data.reason)
    } else if (event === 'router:resumed') onResumed?.(data.channel, data.replayed)
    else if (channel && event === 'pusher_internal:subscription_succeeded') subscribed(channel)
    else if (channel && !/^(pusher(_internal)?:|client-)/.test(event)) {
      const place = places.get(channel)
      if (place) place.received++
    }
  }

  // Of all that pusher-js says of a connection this comes first: before it subscribes to its channels again.
  connection.bind('state_change', begin)
  connection.bind('message', hear)
  begin()
  return () => {
    connection.unbind('state_change', begin)
    connection.unbind('message', hear)
  }
}
