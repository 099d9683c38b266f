import type { WebhookConfig, WebhookEvent } from '../config/router-config.ts'
import type { Counters } from './counters.ts'
import type { LiveSettings, RealtimeLog, ResolvedApp } from './settings.ts'
import { type WebhookPayload, WebhookSender } from './webhook-sender.ts'

/** Tells an app's webhooks what happens on its channels. */
export class Webhooks {
  readonly #hooks: readonly { readonly events: ReadonlySet<WebhookEvent>; readonly sender: WebhookSender }[]
  readonly #settings: LiveSettings
  /** What ended a moment ago and may come back: by channel, and user. */
  readonly #ending = new Map<string, NodeJS.Timeout>()

  constructor(app: ResolvedApp, hooks: readonly WebhookConfig[], counters: Counters, settings: LiveSettings, log: RealtimeLog) {
    this.#settings = settings
    this.#hooks = hooks.map(({ url, events }) => ({
      events: new Set(events),
      sender: new WebhookSender({ app, url, counters, settings, log }),
    }))
  }

  occupied(channel: string): void {
    if (!this.#isBack(channel)) this.#tell({ name: 'channel_occupied', channel })
  }

  vacated(channel: string): void {
    this.#tellUnlessBack(channel, { name: 'channel_vacated', channel })
  }

  memberAdded(channel: string, userId: string): void {
    if (!this.#isBack(memberKey(channel, userId))) this.#tell({ name: 'member_added', channel, user_id: userId })
  }

  memberRemoved(channel: string, userId: string): void {
    this.#tellUnlessBack(memberKey(channel, userId), { name: 'member_removed', channel, user_id: userId })
  }

  clientEvent(details: {
    readonly channel: string
    readonly event: string
    readonly data: string
    readonly socketId: string
    readonly userId: string | undefined
  }): void {
    const { channel, event, data, socketId, userId } = details
    const sender = userId === undefined ? {} : { user_id: userId }
    this.#tell({ name: 'client_event', channel, event, data, socket_id: socketId, ...sender })
  }

  cacheMissed(channel: string): void {
    this.#tell({ name: 'cache_miss', channel })
  }

  subscriptionCount(channel: string, count: number): void {
    this.#tell({ name: 'subscription_count', channel, subscription_count: count })
  }

  /** Tries once more to send what waits, for at most `graceMs`. What ended lately is not told: the sockets of a server that stops go on elsewhere. */
  async close(graceMs: number): Promise<void> {
    for (const timer of this.#ending.values()) clearTimeout(timer)
    this.#ending.clear()
    await Promise.all(this.#hooks.map(({ sender }) => sender.close(graceMs)))
  }

  #tell(event: WebhookPayload): void {
    for (const { events, sender } of this.#hooks) if (events.has(event.name)) sender.add(event)
  }

  #tellUnlessBack(key: string, event: WebhookPayload): void {
    const timer = setTimeout(() => {
      this.#ending.delete(key)
      this.#tell(event)
    }, this.#settings.timings.webhookDebounceMs)
    timer.unref()
    this.#ending.set(key, timer)
  }

  /** Somebody reconnected before anybody was told of the end: it has not happened. */
  #isBack(key: string): boolean {
    clearTimeout(this.#ending.get(key))
    return this.#ending.delete(key)
  }
}

/** No channel's name holds a space. */
function memberKey(channel: string, userId: string): string {
  return `${channel} ${userId}`
}
