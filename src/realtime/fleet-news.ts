import type { FleetListener } from './backplane/backplane.ts'
import { announceAdded, announceRemoved } from './channel-announcer.ts'
import type { AppChannels } from './channels.ts'
import type { Connections } from './connections.ts'
import { type ChannelEvent, type Delivery, sendToAll } from './delivery.ts'
import { messageFrame } from './frame.ts'
import type { History } from './history/history.ts'
import { parseValue } from './json-fields.ts'
import type { Member } from './presence.ts'
import type { LiveSettings } from './settings.ts'
import type { WebhookPayload } from './webhook-sender.ts'
import type { Webhooks } from './webhooks.ts'

export interface FleetNewsOptions {
  readonly delivery: Delivery
  readonly connections: Connections
  readonly webhooks: Webhooks | undefined
  readonly history: History
  readonly settings: LiveSettings
}

/** Takes to the sockets and webhooks of an app what its backplane says. */
export class FleetNews implements FleetListener {
  readonly #app: AppChannels
  readonly #delivery: Delivery
  readonly #connections: Connections
  readonly #webhooks: Webhooks | undefined
  readonly #history: History
  readonly #settings: LiveSettings

  constructor(app: AppChannels, { delivery, connections, webhooks, history, settings }: FleetNewsOptions) {
    this.#app = app
    this.#delivery = delivery
    this.#connections = connections
    this.#webhooks = webhooks
    this.#history = history
    this.#settings = settings
  }

  /** An event of a channel with history is delivered by the history of this instance, which keeps what every instance sends. */
  deliver(channel: string, event: ChannelEvent, except: string | undefined): void {
    const limits = event.fromClient === true ? undefined : this.#settings.rules.historyOf(channel)
    const name = limits === undefined ? undefined : parseValue(Buffer.from(event.event, 'latin1').toString('utf8'))
    if (limits === undefined || typeof name !== 'string') {
      this.#delivery.deliver(this.#app, channel, event, except)
      return
    }
    void this.#history.append({ app: this.#app.app.id, channel, limits, origin: undefined, event: name, text: event.text, except })
  }

  /** Nobody can say what was missed: whoever resumes from before is told so, and so is whoever is connected and keeps count. */
  missed(): void {
    const { app, channels } = this.#app
    this.#history.retain(id => id !== app.id)
    for (const channel of channels.values()) {
      if (channel.history === undefined || channel.resumables === 0) continue
      const at = this.#history.position(app.id, channel.name)
      channel.latest = at instanceof Promise ? undefined : at
      for (const { resumable } of channel.subscriptions) resumable?.lose('position_expired')
    }
  }

  keep(channel: string, event: ChannelEvent, leftMs: number): void {
    this.#delivery.keep(this.#app, channel, event, leftMs)
  }

  terminateUser(userId: string): void {
    this.#connections.terminateUser(this.#app, userId)
  }

  memberAppeared(name: string, member: Member): void {
    const channel = this.#app.channels.get(name)
    if (channel?.members?.has(member.userId) === false) announceAdded(channel, member, undefined)
  }

  memberDisappeared(name: string, member: Member): void {
    const channel = this.#app.channels.get(name)
    if (channel?.members?.has(member.userId) === false) announceRemoved(channel, member)
  }

  happened(event: WebhookPayload): void {
    this.#webhooks?.tell(event)
  }

  counted(name: string, subscriptions: number): void {
    const channel = this.#app.channels.get(name)
    if (channel === undefined) return
    const data = JSON.stringify({ subscription_count: subscriptions })
    sendToAll(channel, messageFrame({ event: 'pusher_internal:subscription_count', channel: name, data }), undefined)
  }
}
