import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import type { ResolvedApp } from './settings.ts'

/** A channel that has subscribers; it goes away with the last of them. */
export interface Channel {
  readonly name: string
  readonly subscriptions: Subscription[]
}

export interface Subscription {
  readonly connection: Connection
  readonly channel: Channel
  /** Its place in `channel.subscriptions`, so that leaving costs the same in a channel of any size. */
  index: number
}

/** An app with the channels of its sockets on this instance. */
export class AppChannels {
  readonly app: ResolvedApp
  readonly channels = new Map<string, Channel>()
  readonly #counters: Counters

  constructor(app: ResolvedApp, counters: Counters) {
    this.app = app
    this.#counters = counters
  }

  subscribe(connection: Connection, name: string): void {
    if (connection.subscriptions.has(name)) return
    let channel = this.channels.get(name)
    if (channel === undefined) {
      channel = { name, subscriptions: [] }
      this.channels.set(name, channel)
    }
    const subscription = { connection, channel, index: channel.subscriptions.length }
    channel.subscriptions.push(subscription)
    connection.subscriptions.set(name, subscription)
    this.#counters.subscriptions += 1
  }

  unsubscribe(connection: Connection, name: string): void {
    const subscription = connection.subscriptions.get(name)
    if (subscription === undefined) return
    connection.subscriptions.delete(name)
    this.#remove(subscription)
  }

  unsubscribeAll(connection: Connection): void {
    for (const subscription of connection.subscriptions.values()) this.#remove(subscription)
    connection.subscriptions.clear()
  }

  /** The last subscription takes the free place. */
  #remove({ channel, index }: Subscription): void {
    const last = channel.subscriptions.pop()
    if (last !== undefined && index < channel.subscriptions.length) {
      channel.subscriptions[index] = last
      last.index = index
    }
    this.#counters.subscriptions -= 1
    if (channel.subscriptions.length === 0) this.channels.delete(channel.name)
  }
}
