import type { AppChannels, Channel, ChannelObserver } from './channels.ts'
import type { Connection } from './connection.ts'
import { sendToAll } from './delivery.ts'
import { messageFrame } from './frame.ts'
import { type Member, memberAddedJson, memberRemovedJson } from './presence.ts'
import type { LiveSettings } from './settings.ts'
import { SubscriptionCounts } from './subscription-counts.ts'
import type { Webhooks } from './webhooks.ts'

/** Tells subscribers and webhooks what happens on the channels of an app. */
export class ChannelAnnouncer implements ChannelObserver {
  readonly #counts: SubscriptionCounts | undefined
  readonly #webhooks: Webhooks | undefined

  constructor({ app }: AppChannels, webhooks: Webhooks | undefined, settings: LiveSettings) {
    this.#webhooks = webhooks
    this.#counts =
      app.subscriptionCount === true
        ? new SubscriptionCounts(
            () => settings.timings.subscriptionCountMs,
            channel => this.#tellCount(channel),
          )
        : undefined
  }

  occupied({ name, kind }: Channel): void {
    if (kind.kind !== 'user') this.#webhooks?.occupied(name)
  }

  vacated({ name, kind }: Channel): void {
    if (kind.kind !== 'user') this.#webhooks?.vacated(name)
  }

  /** Whoever joins is in the list it gets, and is not told of itself. */
  memberAdded(channel: Channel, member: Member, by: Connection): void {
    const data = memberAddedJson(member)
    sendToAll(channel, messageFrame({ event: 'pusher_internal:member_added', channel: channel.name, data }), by)
    this.#webhooks?.memberAdded(channel.name, member.userId)
  }

  memberRemoved(channel: Channel, member: Member): void {
    const data = memberRemovedJson(member)
    sendToAll(channel, messageFrame({ event: 'pusher_internal:member_removed', channel: channel.name, data }), undefined)
    this.#webhooks?.memberRemoved(channel.name, member.userId)
  }

  countChanged(channel: Channel): void {
    // Members of a presence channel know each other; a user's own channel is nobody else's matter.
    if (channel.kind.kind !== 'presence' && channel.kind.kind !== 'user') this.#counts?.changed(channel)
  }

  #tellCount(channel: Channel): void {
    const { name, subscriptions } = channel
    const data = JSON.stringify({ subscription_count: subscriptions.length })
    sendToAll(channel, messageFrame({ event: 'pusher_internal:subscription_count', channel: name, data }), undefined)
    this.#webhooks?.subscriptionCount(name, subscriptions.length)
  }
}
