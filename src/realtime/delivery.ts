import { performance } from 'node:perf_hooks'
import { channelKind } from './channel-kind.ts'
import type { AppChannels, Channel } from './channels.ts'
import { Conflator } from './conflator.ts'
import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import { type ByteString, eventFrame } from './frame.ts'
import { isObject } from './json-fields.ts'
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
    if (event.fromClient !== true && (channel?.kind ?? channelKind(name)).cached) this.#keep(app, name, event)
    if (channel === undefined) return
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
    channel.conflator.offer(event.event + valueAt(event.text, conflate.by), event, except)
  }

  #keep(app: AppChannels, name: string, { event, data, text }: ChannelEvent): void {
    app.cache.set(name, { event, data, text }, performance.now(), this.#settings.limits.cachedChannels)
  }

  #send(channel: Channel, event: ChannelEvent, except: string | undefined): void {
    const excluded = except === undefined ? undefined : this.#connections.get(except)
    sendToAll(channel, eventFrame(event.event, channel.nameBytes, event.data, event.userId), excluded)
  }

  #sendTo(channel: Channel, event: ChannelEvent, socketId: string): void {
    const connection = this.#connections.get(socketId)
    if (connection?.subscriptions.has(channel.name) === true) {
      connection.outbox.push(eventFrame(event.event, channel.nameBytes, event.data))
    }
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

/** The value that a rule's `by` names, as text; data without it is one value of its own. */
function valueAt(text: string, by: readonly string[] | undefined): string {
  if (by === undefined) return ''
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return ''
  }
  for (const key of by) {
    if (Array.isArray(value)) value = /^\d+$/.test(key) ? value[Number(key)] : undefined
    else value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  }
  return JSON.stringify(value) ?? ''
}
