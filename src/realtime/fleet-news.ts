import type { FleetListener } from './backplane/backplane.ts'
import { announceAdded, announceRemoved } from './channel-announcer.ts'
import type { AppChannels } from './channels.ts'
import type { Connections } from './connections.ts'
import { type ChannelEvent, type Delivery, sendToAll } from './delivery.ts'
import { messageFrame } from './frame.ts'
import type { Member } from './presence.ts'
import type { WebhookPayload } from './webhook-sender.ts'
import type { Webhooks } from './webhooks.ts'

export interface FleetNewsOptions {
  readonly delivery: Delivery
  readonly connections: Connections
  readonly webhooks: Webhooks | undefined
}

/** Takes to the sockets and webhooks of an app what its backplane says. */
export class FleetNews implements FleetListener {
  readonly #app: AppChannels
  readonly #delivery: Delivery
  readonly #connections: Connections
  readonly #webhooks: Webhooks | undefined

  constructor(app: AppChannels, { delivery, connections, webhooks }: FleetNewsOptions) {
    this.#app = app
    this.#delivery = delivery
    this.#connections = connections
    this.#webhooks = webhooks
  }

  deliver(channel: string, event: ChannelEvent, except: string | undefined): void {
    this.#delivery.deliver(this.#app, channel, event, except)
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

  roomForEnds(): number {
    return this.#webhooks?.roomFor(['channel_vacated', 'member_removed']) ?? Number.POSITIVE_INFINITY
  }

  counted(name: string, subscriptions: number): void {
    const channel = this.#app.channels.get(name)
    if (channel === undefined) return
    const data = JSON.stringify({ subscription_count: subscriptions })
    sendToAll(channel, messageFrame({ event: 'pusher_internal:subscription_count', channel: name, data }), undefined)
  }
}
