import type { ChannelRule, HistoryRule } from '../config/router-config.ts'
import type { AppBackplane, Backplane } from './backplane/backplane.ts'
import { type ChannelKind, channelKind, userChannel } from './channel-kind.ts'
import type { Conflator } from './conflator.ts'
import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import type { ChannelEvent } from './delivery.ts'
import { EventCache } from './event-cache.ts'
import { type ByteString, jsonBytes } from './frame.ts'
import type { Position } from './history/history.ts'
import type { Member, PresentMember, SignedInUser } from './presence.ts'
import type { Resumable } from './resume/resumable.ts'
import type { LiveSettings, ResolvedApp } from './settings.ts'
import type { TokenVerifier } from './token-verifier.ts'

/** A channel that has subscribers; it goes away with the last of them. */
export interface Channel {
  readonly name: string
  /** The name as a JSON string in bytes: frames hold it. */
  readonly nameBytes: ByteString
  readonly kind: ChannelKind
  readonly subscriptions: Subscription[]
  /** By user id; of presence channels only. */
  readonly members: Map<string, PresentMember> | undefined
  rule: ChannelRule | undefined
  /** What is kept of its events; undefined: nothing. */
  history: HistoryRule | undefined
  /** Of the last event that the history had delivered here. */
  latest: Position | undefined
  /** Subscriptions that are `resumable`. */
  resumables: number
  /** Made by the first event, where the rule has `conflate`. */
  conflator: Conflator<ChannelEvent> | undefined
}

export interface Subscription {
  readonly connection: Connection
  readonly channel: Channel
  readonly member: Member | undefined
  /** Of clients that keep track of their positions, on channels with history. */
  resumable: Resumable | undefined
  /** Its place in `channel.subscriptions`, so that leaving costs the same in a channel of any size. */
  index: number
}

/** What happens on the channels of an app, told after it has happened. */
export interface ChannelObserver {
  occupied(channel: Channel): void
  vacated(channel: Channel): void
  memberAdded(channel: Channel, member: Member, by: Connection): void
  memberRemoved(channel: Channel, member: Member): void
  /** Somebody subscribed or unsubscribed. */
  countChanged(channel: Channel): void
}

/** An app with the channels of its sockets on this instance. */
export class AppChannels {
  readonly app: ResolvedApp
  readonly channels = new Map<string, Channel>()
  /** Connections of signed-in users, by user id. */
  readonly users = new Map<string, Set<Connection>>()
  readonly cache = new EventCache()
  /** Established connections. */
  connections = 0
  observer: ChannelObserver | undefined
  /** Undefined where the app takes no tokens. */
  readonly tokens: TokenVerifier | undefined
  /** The same app on the other instances. */
  readonly backplane: AppBackplane
  readonly #counters: Counters
  readonly #settings: LiveSettings

  constructor(app: ResolvedApp, backplane: Backplane, counters: Counters, settings: LiveSettings, tokens: TokenVerifier | undefined) {
    this.app = app
    this.tokens = tokens
    this.backplane = backplane.join(this)
    this.#counters = counters
    this.#settings = settings
  }

  /** Does nothing where the connection has subscribed already. */
  subscribe(connection: Connection, name: string, member: Member | undefined): Channel {
    const existing = connection.subscriptions.get(name)
    if (existing !== undefined) return existing.channel
    const channel = this.channels.get(name) ?? this.#create(name)
    const subscription = { connection, channel, member, resumable: undefined, index: channel.subscriptions.length }
    channel.subscriptions.push(subscription)
    connection.subscriptions.set(name, subscription)
    this.#counters.subscriptions += 1
    if (channel.subscriptions.length === 1) this.observer?.occupied(channel)
    if (member !== undefined) this.#join(channel, member, connection)
    this.observer?.countChanged(channel)
    return channel
  }

  unsubscribe(connection: Connection, name: string): void {
    const subscription = connection.subscriptions.get(name)
    if (subscription === undefined) return
    connection.subscriptions.delete(name)
    this.#remove(subscription)
  }

  /** The connection is gone: nothing of it stays. */
  leave(connection: Connection): void {
    for (const subscription of connection.subscriptions.values()) this.#remove(subscription)
    connection.subscriptions.clear()
    const { user } = connection
    const connections = user === undefined ? undefined : this.users.get(user.id)
    if (user === undefined || connections === undefined) return
    connections.delete(connection)
    if (connections.size === 0) this.users.delete(user.id)
  }

  signIn(connection: Connection, user: SignedInUser): void {
    connection.user = user
    const connections = this.users.get(user.id)
    if (connections === undefined) this.users.set(user.id, new Set([connection]))
    else connections.add(connection)
    this.subscribe(connection, userChannel(user.id), undefined)
  }

  /** After a change of the rules: what is subscribed stays so. */
  takeRules(): void {
    for (const channel of this.channels.values()) {
      channel.conflator?.flush()
      channel.conflator = undefined
      channel.rule = this.#settings.rules.of(channel.name)
      channel.history = this.#settings.rules.historyOf(channel.name)
    }
  }

  #create(name: string): Channel {
    const kind = channelKind(name)
    const channel = {
      name,
      nameBytes: jsonBytes(name),
      kind,
      subscriptions: [],
      members: kind.kind === 'presence' ? new Map() : undefined,
      rule: this.#settings.rules.of(name),
      history: this.#settings.rules.historyOf(name),
      latest: undefined,
      resumables: 0,
      conflator: undefined,
    }
    this.channels.set(name, channel)
    return channel
  }

  /** Only a user's first connection is news. */
  #join(channel: Channel, member: Member, connection: Connection): void {
    const present = channel.members?.get(member.userId)
    if (present !== undefined) {
      present.connections += 1
      return
    }
    channel.members?.set(member.userId, { ...member, connections: 1 })
    this.observer?.memberAdded(channel, member, connection)
  }

  /** The last subscription takes the free place. */
  #remove({ channel, index, member, resumable }: Subscription): void {
    resumable?.end()
    const last = channel.subscriptions.pop()
    if (last !== undefined && index < channel.subscriptions.length) {
      channel.subscriptions[index] = last
      last.index = index
    }
    this.#counters.subscriptions -= 1
    if (channel.subscriptions.length === 0) {
      this.channels.delete(channel.name)
      channel.conflator?.flush()
    }
    if (member !== undefined) this.#part(channel, member.userId)
    this.observer?.countChanged(channel)
    if (channel.subscriptions.length === 0) this.observer?.vacated(channel)
  }

  #part(channel: Channel, userId: string): void {
    const present = channel.members?.get(userId)
    if (present === undefined) return
    present.connections -= 1
    if (present.connections > 0) return
    channel.members?.delete(userId)
    this.observer?.memberRemoved(channel, present)
  }
}
