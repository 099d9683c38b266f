/** What is kept of an event on a cache channel: its name and its data, both as JSON in bytes, and its data as it came. */
export interface CachedEvent {
  readonly event: string
  readonly data: string
  readonly text: string
  /** In ms of the monotonic clock. */
  readonly until: number
}

/** Pusher's documented longest life of a cached event. */
export const cachedLifeMs = 30 * 60_000

/** The last event of each cache channel of an app, of the latest `most` channels. */
export class EventCache {
  readonly #events = new Map<string, CachedEvent>()

  get(channel: string, now: number): CachedEvent | undefined {
    const cached = this.#events.get(channel)
    if (cached === undefined || cached.until > now) return cached
    this.#events.delete(channel)
    return undefined
  }

  set(channel: string, event: CachedEvent, now: number, most: number): void {
    // Deleted first, so that the oldest stand in front.
    this.#events.delete(channel)
    this.#events.set(channel, event)
    for (const [name, { until }] of this.#events) {
      if (this.#events.size <= most && until > now) break
      this.#events.delete(name)
    }
  }
}
