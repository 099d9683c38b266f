import type { WebhookConfig, WebhookEvent } from '../config/router-config.ts'
import type { Counters } from './counters.ts'
import type { LiveSettings, RealtimeLog, ResolvedApp } from './settings.ts'
import { type WebhookPayload, WebhookSender } from './webhook-sender.ts'

/** Tells an app's webhooks what happens on its channels. */
export class Webhooks {
  readonly #hooks: readonly { readonly events: ReadonlySet<WebhookEvent>; readonly sender: WebhookSender }[]

  constructor(app: ResolvedApp, hooks: readonly WebhookConfig[], counters: Counters, settings: LiveSettings, log: RealtimeLog) {
    this.#hooks = hooks.map(({ url, events }) => ({
      events: new Set(events),
      sender: new WebhookSender({ app, url, counters, settings, log }),
    }))
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
    this.tell({ name: 'client_event', channel, event, data, socket_id: socketId, ...sender })
  }

  cacheMissed(channel: string): void {
    this.tell({ name: 'cache_miss', channel })
  }

  /** Tries once more to send what waits, for at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#hooks.map(({ sender }) => sender.close(graceMs)))
  }

  /** How many of these events some webhook takes before all drop some: one whose address does not answer keeps nothing from the others. */
  roomFor(names: readonly WebhookEvent[]): number {
    const told = this.#hooks.filter(({ events }) => names.some(name => events.has(name)))
    return told.length === 0 ? Number.POSITIVE_INFINITY : Math.max(...told.map(({ sender }) => sender.room))
  }

  tell(event: WebhookPayload): void {
    for (const { events, sender } of this.#hooks) if (events.has(event.name)) sender.add(event)
  }
}
