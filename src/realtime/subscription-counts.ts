import type { Channel } from './channels.ts'

/** Tells each channel how many subscribe to it: the first change at once, further ones gathered so that a busy channel is not flooded. */
export class SubscriptionCounts {
  readonly #intervalMs: () => number
  readonly #tell: (channel: Channel) => void
  /** Channels that were told lately, and whether they changed since. */
  readonly #recent = new Map<Channel, { changed: boolean }>()

  constructor(intervalMs: () => number, tell: (channel: Channel) => void) {
    this.#intervalMs = intervalMs
    this.#tell = tell
  }

  changed(channel: Channel): void {
    const recent = this.#recent.get(channel)
    if (recent !== undefined) {
      recent.changed = true
      return
    }
    // At the end of the turn: the answer to the subscription goes first, and a client that subscribes to much at once is one change.
    this.#recent.set(channel, { changed: false })
    setImmediate(() => this.#told(channel))
  }

  #told(channel: Channel): void {
    if (channel.subscriptions.length > 0) this.#tell(channel)
    setTimeout(() => {
      const changed = this.#recent.get(channel)?.changed === true
      this.#recent.delete(channel)
      if (changed) this.changed(channel)
    }, this.#intervalMs()).unref()
  }
}
