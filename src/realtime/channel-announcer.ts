import type { AppBackplane } from './backplane/backplane.ts'
import type { AppChannels, Channel, ChannelObserver } from './channels.ts'
import type { Connection } from './connection.ts'
import { sendToAll } from './delivery.ts'
import { messageFrame } from './frame.ts'
import { type Member, memberAddedJson, memberRemovedJson } from './presence.ts'
import type { LiveSettings } from './settings.ts'
import { SubscriptionCounts } from './subscription-counts.ts'

/** Tells subscribers and the backplane what happens on the channels of an app. */
export class ChannelAnnouncer implements ChannelObserver {
  readonly #backplane: AppBackplane
  readonly #counts: SubscriptionCounts | undefined

  constructor({ app, backplane }: AppChannels, settings: LiveSettings) {
    this.#backplane = backplane
    this.#counts =
      app.subscriptionCount === true
        ? new SubscriptionCounts(
            () => settings.timings.subscriptionCountMs,
            ({ name }) => backplane.tellCount(name),
          )
        : undefined
  }

  occupied({ name, kind }: Channel): void {
    if (kind.kind !== 'user') this.#backplane.occupied(name)
  }

  vacated({ name, kind }: Channel): void {
    if (kind.kind !== 'user') this.#backplane.vacated(name)
  }

  /** Whoever joins is in the list it gets, and is not told of itself. */
  memberAdded(channel: Channel, member: Member, by: Connection): void {
    if (!this.#backplane.membersElsewhere(channel.name).has(member.userId)) announceAdded(channel, member, by)
    this.#backplane.memberAdded(channel.name, member)
  }

  memberRemoved(channel: Channel, member: Member): void {
    if (!this.#backplane.membersElsewhere(channel.name).has(member.userId)) announceRemoved(channel, member)
    this.#backplane.memberRemoved(channel.name, member)
  }

  countChanged(channel: Channel): void {
    if (channel.kind.kind === 'user') return
    this.#backplane.countChanged(channel.name)
    // Members of a presence channel know each other.
    if (channel.kind.kind !== 'presence') this.#counts?.changed(channel)
  }
}

export function announceAdded(channel: Channel, member: Member, except: Connection | undefined): void {
  const data = memberAddedJson(member)
  sendToAll(channel, messageFrame({ event: 'pusher_internal:member_added', channel: channel.name, data }), except)
}

export function announceRemoved(channel: Channel, member: Member): void {
  const data = memberRemovedJson(member)
  sendToAll(channel, messageFrame({ event: 'pusher_internal:member_removed', channel: channel.name, data }), undefined)
}
