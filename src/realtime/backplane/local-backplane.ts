import type { History, HistoryListener } from '../history/history.ts'
import { MemoryHistory } from '../history/memory-history.ts'
import type { Member } from '../presence.ts'
import type { LiveSettings } from '../settings.ts'
import type { WebhookPayload } from '../webhook-sender.ts'
import type { AppBackplane, Backplane, BackplaneStats, FleetApp, FleetListener, Occupancy } from './backplane.ts'

/** This instance is all there is. */
export class LocalBackplane implements Backplane {
  readonly #settings: LiveSettings
  readonly #apps: LocalApp[] = []

  constructor(settings: LiveSettings) {
    this.#settings = settings
  }

  join(app: FleetApp): AppBackplane {
    const local = new LocalApp(app, this.#settings)
    this.#apps.push(local)
    return local
  }

  openHistory(listener: HistoryListener): History {
    return new MemoryHistory({ limits: () => ({ bytes: this.#settings.limits.history }), listener })
  }

  async open(): Promise<void> {}

  stats(): BackplaneStats {
    return { connected: true, instances: 1, published: 0, received: 0, missed: 0, invalid: 0 }
  }

  async close(): Promise<void> {
    for (const app of this.#apps) app.close()
  }
}

const nobody: ReadonlyMap<string, Member> = new Map()

class LocalApp implements AppBackplane {
  readonly isShared = false
  readonly #app: FleetApp
  readonly #settings: LiveSettings
  /** What ended a moment ago and may come back: by channel, and user. */
  readonly #ending = new Map<string, NodeJS.Timeout>()
  #listener: FleetListener | undefined

  constructor(app: FleetApp, settings: LiveSettings) {
    this.#app = app
    this.#settings = settings
  }

  listen(listener: FleetListener): void {
    this.#listener = listener
  }

  publish(): void {}

  terminateUser(): void {}

  occupied(channel: string): void {
    if (!this.#isBack(channel)) this.#listener?.happened({ name: 'channel_occupied', channel })
  }

  vacated(channel: string): void {
    this.#tellUnlessBack(channel, { name: 'channel_vacated', channel })
  }

  countChanged(): void {}

  tellCount(channel: string): void {
    const { subscriptions } = this.#occupancyOf(channel)
    if (subscriptions === 0) return
    this.#listener?.counted(channel, subscriptions)
    this.#listener?.happened({ name: 'subscription_count', channel, subscription_count: subscriptions })
  }

  memberAdded(channel: string, { userId }: Member): void {
    if (!this.#isBack(memberKey(channel, userId))) this.#listener?.happened({ name: 'member_added', channel, user_id: userId })
  }

  memberRemoved(channel: string, { userId }: Member): void {
    this.#tellUnlessBack(memberKey(channel, userId), { name: 'member_removed', channel, user_id: userId })
  }

  catchUp(): undefined {
    return undefined
  }

  membersElsewhere(): ReadonlyMap<string, Member> {
    return nobody
  }

  channels(prefix: string): ReadonlyMap<string, Occupancy> {
    const names = [...this.#app.channels.keys()].filter(name => name.startsWith(prefix))
    return new Map(names.map(name => [name, this.#occupancyOf(name)]))
  }

  occupancy(channels: readonly string[]): readonly Occupancy[] {
    return channels.map(name => this.#occupancyOf(name))
  }

  users(channel: string): readonly string[] {
    return [...(this.#app.channels.get(channel)?.members?.keys() ?? [])]
  }

  /** What ended lately is not told: the sockets of a server that stops go on elsewhere. */
  close(): void {
    for (const timer of this.#ending.values()) clearTimeout(timer)
    this.#ending.clear()
  }

  #occupancyOf(name: string): Occupancy {
    const channel = this.#app.channels.get(name)
    return { subscriptions: channel?.subscriptions.length ?? 0, users: channel?.members?.size ?? 0 }
  }

  #tellUnlessBack(key: string, event: WebhookPayload): void {
    if (this.#app.app.webhooks === undefined) return
    const timer = setTimeout(() => {
      this.#ending.delete(key)
      this.#listener?.happened(event)
    }, this.#settings.timings.webhookDebounceMs)
    timer.unref()
    this.#ending.set(key, timer)
  }

  /** Somebody reconnected before anybody was told of the end: it has not happened. */
  #isBack(key: string): boolean {
    clearTimeout(this.#ending.get(key))
    return this.#ending.delete(key)
  }
}

/** No channel's name holds a space. */
function memberKey(channel: string, userId: string): string {
  return `${channel} ${userId}`
}
