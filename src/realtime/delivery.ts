import { performance } from 'node:perf_hooks'
import { channelKind } from './channel-kind.ts'
import type { AppChannels, Channel } from './channels.ts'
import { conflationKey } from './conflation-key.ts'
import { Conflator } from './conflator.ts'
import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import { cachedLifeMs } from './event-cache.ts'
import { type ByteString, eventFrame } from './frame.ts'
import type { Position } from './history/history.ts'
import type { LiveSettings } from './settings.ts'

/** An event as every channel gets it. `event`, `data` and `userId` are JSON strings (quoted) as bytes. */
export interface ChannelEvent {
  readonly event: ByteString
  readonly data: ByteString
  /** The data as text, before it was quoted. */
  readonly text: string
  /** Who sent it: a client, on a presence channel. */
  readonly userId?: ByteString
  /** It comes from a client: neither kept nor conflated, since another client's event does not replace it. */
  readonly fromClient?: true
  /** Its place in the channel's history. */
  readonly at?: Position
}

/** The one place where an event becomes frames: whatever sends to a channel of this instance comes through here, checked by whoever calls. */
export class Delivery {
  readonly #connections: ReadonlyMap<string, Connection>
  readonly #counters: Counters
  readonly #settings: LiveSettings

  constructor(connections: ReadonlyMap<string, Connection>, counters: Counters, settings: LiveSettings) {
    this.#connections = connections
    this.#counters = counters
    this.#settings = settings
  }

  deliver(app: AppChannels, name: string, event: ChannelEvent, except: string | undefined): void {
    const channel = app.channels.get(name)
    if (event.fromClient !== true && (channel?.kind ?? channelKind(name)).cached) this.keep(app, name, event, cachedLifeMs)
    if (channel === undefined) return
    if (event.at !== undefined) channel.latest = event.at
    const conflate = channel.rule?.conflate
    if (conflate === undefined || event.fromClient === true) {
      this.#send(channel, event, except)
      return
    }
    channel.conflator ??= new Conflator<ChannelEvent>({
      intervalMs: conflate.intervalMs,
      send: (latest, without) => this.#send(channel, latest, without),
      sendTo: (latest, socketId) => this.#sendTo(channel, latest, socketId),
      replaced: () => {
        this.#counters.conflated += 1
      },
    })
    channel.conflator.offer(conflationKey(event.event, event.text, conflate), event, except)
  }

  /** For those who subscribe to a cache channel later. */
  keep(app: AppChannels, name: string, { event, data, text }: ChannelEvent, lifeMs: number): void {
    const now = performance.now()
    app.cache.set(name, { event, data, text, until: now + lifeMs }, now, this.#settings.limits.cachedChannels)
  }

  #send(channel: Channel, event: ChannelEvent, except: string | undefined): void {
    const excluded = except === undefined ? undefined : this.#connections.get(except)
    const frame = eventFrame(event.event, channel.nameBytes, event.data, event.userId)
    if (channel.resumables === 0) sendToAll(channel, frame, excluded)
    else sendInPlace(channel, frame, event, excluded)
  }

  #sendTo(channel: Channel, event: ChannelEvent, socketId: string): void {
    const connection = this.#connections.get(socketId)
    const subscription = connection?.subscriptions.get(channel.name)
    if (connection === undefined || subscription === undefined) return
    const frame = eventFrame(event.event, channel.nameBytes, event.data)
    if (subscription.resumable === undefined) connection.outbox.push(frame)
    else subscription.resumable.take(frame, event, false)
  }
}

/** Writes one frame to every subscriber of a channel but one. */
export function sendToAll({ subscriptions }: Channel, frame: ByteString, excluded: Connection | undefined): void {
  // Backwards: a client that overflows leaves the list, and the one that takes its place has been served.
  for (let index = subscriptions.length - 1; index >= 0; index -= 1) {
    const connection = subscriptions[index]?.connection
    if (connection !== undefined && connection !== excluded) connection.outbox.push(frame)
  }
}

/** As `sendToAll`, where some of the clients keep track of where they stand. */
function sendInPlace({ subscriptions }: Channel, frame: ByteString, event: ChannelEvent, excluded: Connection | undefined): void {
  for (let index = subscriptions.length - 1; index >= 0; index -= 1) {
    const subscription = subscriptions[index]
    if (subscription === undefined) continue
    const { connection, resumable } = subscription
    if (resumable !== undefined) resumable.take(frame, event, connection === excluded)
    else if (connection !== excluded) connection.outbox.push(frame)
  }
}
