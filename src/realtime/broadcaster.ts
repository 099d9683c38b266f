import type { ChannelRule, HistoryRule } from '../config/router-config.ts'
import { channelKind, channelNameFault, eventNameFault } from './channel-kind.ts'
import type { AppChannels, Channel } from './channels.ts'
import type { Connection } from './connection.ts'
import type { Counters } from './counters.ts'
import type { ChannelEvent, Delivery } from './delivery.ts'
import { jsonBytes } from './frame.ts'
import type { Append, History } from './history/history.ts'
import { type BroadcastSource, type Hub, HubError, type Reach } from './hub.ts'
import { isObject } from './json-fields.ts'
import type { LiveSettings } from './settings.ts'

export interface BroadcasterOptions {
  /** By app id. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly delivery: Delivery
  readonly history: History
  readonly counters: Counters
  readonly settings: LiveSettings
}

/** Checks events of routes, of the HTTP API and of clients, and hands them on. */
export class Broadcaster implements Hub {
  readonly #apps: ReadonlyMap<string, AppChannels>
  readonly #delivery: Delivery
  readonly #history: History
  readonly #counters: Counters
  readonly #settings: LiveSettings

  constructor(options: BroadcasterOptions) {
    this.#apps = options.apps
    this.#delivery = options.delivery
    this.#history = options.history
    this.#counters = options.counters
    this.#settings = options.settings
  }

  hasSubscribers(app: string, channel: string, reach?: Reach): boolean {
    const found = this.#apps.get(app)
    if (found === undefined) return false
    const known = found.channels.get(channel)
    return (
      known !== undefined || goesOn(found, reach) || keepsEvents(channel) || this.#historyOf(found, channel, known, reach) !== undefined
    )
  }

  /** Data that cannot be sent is found out where somebody listens; without subscribers it is not serialised at all. */
  broadcast(
    appId: string,
    channel: string,
    event: string,
    data: unknown,
    except?: string,
    source?: BroadcastSource,
    reach?: Reach,
  ): void | Promise<void> {
    const app = this.#check(appId, channel, event)
    this.#counters.broadcasts += 1
    const found = app.channels.get(channel)
    const history = this.#historyOf(app, channel, found, reach)
    if (found === undefined && history === undefined && !goesOn(app, reach) && !keepsEvents(channel)) return
    const text = toJson(data)
    this.#checkSize(text, this.#settings.limits.broadcast, found === undefined ? this.#settings.rules.of(channel) : found.rule)
    if (channel.startsWith('private-encrypted-') && !isCiphertext(data)) {
      throw new HubError('not-encrypted', 'An encrypted channel takes { nonce, ciphertext } only: anything else is for everybody to read')
    }
    const made = { event: jsonBytes(event), data: jsonBytes(text), text }
    if (history === undefined) {
      this.#send(app, channel, made, except, reach)
      return
    }
    return this.#keep({ app: appId, channel, limits: history, name: event, made, except, origin: source?.origin })
  }

  /**
   * As `broadcast`, for several channels and data that is text already. Nothing is sent; `send` can fail only where a channel has a history that is
   * away.
   */
  prepareText(
    appId: string,
    channels: readonly string[],
    event: string,
    text: string,
    except: string | undefined,
  ): { send(): readonly Promise<void>[] } {
    const { limits, rules } = this.#settings
    const targets = channels.map(channel => {
      const app = this.#check(appId, channel, event)
      this.#checkSize(text, limits.apiEvent, rules.of(channel))
      return { app, channel }
    })
    return {
      send: () => {
        const sent = { event: jsonBytes(event), data: jsonBytes(text), text }
        const pending: Promise<void>[] = []
        for (const { app, channel } of targets) {
          this.#counters.broadcasts += 1
          const history = rules.historyOf(channel)
          if (history === undefined) {
            this.#send(app, channel, sent, except)
            continue
          }
          const kept = this.#keep({ app: appId, channel, limits: history, name: event, made: sent, except, origin: undefined })
          if (kept !== undefined) pending.push(kept)
        }
        return pending
      },
    }
  }

  /** An event from one client to the others; whether it may send is the caller's to check. */
  relay(from: Connection, channel: string, event: string, text: string): void {
    this.#counters.clientEvents += 1
    const userId = from.subscriptions.get(channel)?.member?.userId
    const sender = userId === undefined ? {} : { userId: jsonBytes(userId) }
    const sent = { event: jsonBytes(event), data: jsonBytes(text), text, fromClient: true as const, ...sender }
    this.#send(from.app, channel, sent, from.socketId)
  }

  /** Here first: other instances may be out of reach. */
  #send(app: AppChannels, channel: string, event: ChannelEvent, except: string | undefined, reach?: Reach): void {
    this.#delivery.deliver(app, channel, event, except)
    if (goesOn(app, reach)) app.backplane.publish(channel, event, except)
  }

  /** A history that instances share takes what is for all of them: what each sends by itself would be in it several times. */
  #historyOf({ backplane }: AppChannels, channel: string, found: Channel | undefined, reach: Reach | undefined): HistoryRule | undefined {
    if (reach === 'here' && backplane.isShared) return undefined
    return found === undefined ? this.#settings.rules.historyOf(channel) : found.history
  }

  /** The history has the event delivered, wherever it is wanted. */
  #keep(entry: Append): undefined | Promise<void> {
    const kept = this.#history.append(entry)
    return kept instanceof Promise ? kept.then(() => undefined) : undefined
  }

  #check(appId: string, channel: string, event: string): AppChannels {
    const { limits } = this.#settings
    const app = this.#apps.get(appId)
    if (app === undefined) throw new HubError('unknown-app', `There is no app ${JSON.stringify(appId)}`)
    const eventFault = eventNameFault(event, limits.eventName)
    if (eventFault !== undefined) throw new HubError('event-name', eventFault)
    // A channel with subscribers has a name that was checked.
    const nameFault = app.channels.has(channel) ? undefined : channelNameFault(channel, limits)
    if (nameFault !== undefined) throw new HubError('channel-name', nameFault)
    return app
  }

  #checkSize(text: string, general: number, rule: ChannelRule | undefined): void {
    const limit = rule?.limits.data ?? general
    // No character takes more than three bytes, so most data needs no exact count.
    if (text.length * 3 > limit && Buffer.byteLength(text) > limit) {
      throw new HubError('data-too-large', `The data of an event has at most ${limit} bytes, this has ${Buffer.byteLength(text)}`)
    }
  }
}

/** Other instances are to have it too. */
function goesOn({ backplane }: AppChannels, reach: Reach | undefined): boolean {
  return backplane.isShared && reach !== 'here'
}

/** Asked for every broadcast that nobody listens to, so the rare case is told apart first. */
function keepsEvents(channel: string): boolean {
  return channel.includes('cache-') && channelKind(channel).cached
}

function isCiphertext(data: unknown): boolean {
  return isObject(data) && typeof data['nonce'] === 'string' && typeof data['ciphertext'] === 'string'
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
