import { channelNameFault, eventNameFault } from './channel-kind.ts'
import type { AppChannels, Channel } from './channels.ts'
import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import { type ByteString, eventFrame, utf8Bytes } from './frame.ts'
import { type Hub, HubError } from './hub.ts'
import type { LiveSettings } from './settings.ts'

export interface BroadcasterOptions {
  /** By app id. */
  readonly apps: ReadonlyMap<string, AppChannels>
  /** By socket id. */
  readonly connections: ReadonlyMap<string, Connection>
  readonly counters: Counters
  readonly settings: LiveSettings
}

/** Data that cannot be sent is found out where somebody listens; without subscribers it is not serialised at all. */
export class Broadcaster implements Hub {
  readonly #apps: ReadonlyMap<string, AppChannels>
  readonly #connections: ReadonlyMap<string, Connection>
  readonly #counters: Counters
  readonly #settings: LiveSettings

  constructor(options: BroadcasterOptions) {
    this.#apps = options.apps
    this.#connections = options.connections
    this.#counters = options.counters
    this.#settings = options.settings
  }

  hasSubscribers(app: string, channel: string): boolean {
    return this.#apps.get(app)?.channels.has(channel) === true
  }

  broadcast(app: string, channel: string, event: string, data: unknown, except?: string): void {
    const found = this.#find(app, channel, event)
    this.#counters.broadcasts += 1
    if (found === undefined) return
    const text = toJson(data)
    const limit = this.#settings.limits.broadcast
    // No character takes more than three bytes, so most data needs no exact count.
    if (text.length * 3 > limit && Buffer.byteLength(text) > limit) {
      throw new HubError('data-too-large', `The data of an event has at most ${limit} bytes, this has ${Buffer.byteLength(text)}`)
    }
    this.#send(found, utf8Bytes(JSON.stringify(event)), utf8Bytes(JSON.stringify(text)), except)
  }

  /** As `broadcast`, for several channels and data that is text already; its size is the caller's to check. Every name is checked before anything is sent. */
  broadcastText(app: string, channels: Iterable<string>, event: string, text: string, except?: string): void {
    const found = Array.from(channels, channel => this.#find(app, channel, event))
    const eventBytes = utf8Bytes(JSON.stringify(event))
    const dataBytes = utf8Bytes(JSON.stringify(text))
    for (const channel of found) {
      this.#counters.broadcasts += 1
      if (channel !== undefined) this.#send(channel, eventBytes, dataBytes, except)
    }
  }

  #find(app: string, name: string, event: string): Channel | undefined {
    const { limits } = this.#settings
    const channels = this.#apps.get(app)?.channels
    if (channels === undefined) throw new HubError('unknown-app', `There is no app ${JSON.stringify(app)}`)
    const eventFault = eventNameFault(event, limits.eventName)
    if (eventFault !== undefined) throw new HubError('event-name', eventFault)
    const channel = channels.get(name)
    if (channel !== undefined) return channel
    const nameFault = channelNameFault(name, limits.channelName)
    if (nameFault !== undefined) throw new HubError('channel-name', nameFault)
    return undefined
  }

  #send(channel: Channel, event: ByteString, data: ByteString, except: string | undefined): void {
    const frame = eventFrame(event, channel.name, data)
    const { subscriptions } = channel
    const excluded = except === undefined ? undefined : this.#connections.get(except)
    // Backwards: a client that overflows leaves the list, and the one that takes its place has been served.
    for (let index = subscriptions.length - 1; index >= 0; index -= 1) {
      const connection = subscriptions[index]?.connection
      if (connection !== undefined && connection !== excluded) connection.outbox.push(frame)
    }
  }
}

function toJson(data: unknown): string {
  if (data instanceof Uint8Array) throw new HubError('data-not-json', 'Binary data cannot be sent to channels')
  let text: string | undefined
  try {
    text = JSON.stringify(data)
  } catch (error) {
    throw new HubError('data-not-json', `The data of an event must be JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (text === undefined) throw new HubError('data-not-json', `The data of an event must be JSON, not ${typeof data}`)
  return text
}
