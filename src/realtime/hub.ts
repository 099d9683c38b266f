/** What the rest of the router may ask of the realtime server: the one way in for broadcasts. */
export interface Hub {
  /**
   * True where a broadcast to `channel` would reach anybody, or is kept for who comes; with a backplane somebody elsewhere may always listen. O(1); asked
   * before any data is rendered.
   */
  hasSubscribers(app: string, channel: string, reach?: Reach): boolean
  /**
   * Queues one event for every subscriber but `except` (a socket id). The frame is built once; sockets are written once per turn of the event
   * loop. `data` is any JSON value and is serialised once. Throws HubError for a name or size over the limits. On a channel with history it is done
   * when the history holds the event: a promise where that takes time, which rejects with HistoryUnavailable where the history is away.
   */
  broadcast(
    app: string,
    channel: string,
    event: string,
    data: unknown,
    except?: string,
    source?: BroadcastSource,
    reach?: Reach,
  ): void | Promise<void>
}

/** Where a broadcast comes from; an attempt of an action is one. Looked at only where it is needed. */
export interface BroadcastSource {
  /** The same for every delivery of one message to one action: a history takes the event once. */
  readonly origin: string
}

/** `all` (the default): the sockets of every instance. `here`: those of this one, where every instance sends the event. */
export type Reach = 'all' | 'here'

export type HubErrorCode = 'unknown-app' | 'channel-name' | 'event-name' | 'data-too-large' | 'data-not-json' | 'not-encrypted'

/** The event can never be sent as it is: not retried. */
export class HubError extends Error {
  override readonly name = 'HubError'
  readonly permanent = true
  readonly code: HubErrorCode
  constructor(code: HubErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
