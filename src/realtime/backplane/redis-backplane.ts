import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { History, HistoryListener } from '../history/history.ts'
import type { LiveSettings } from '../settings.ts'
import type { AppBackplane, Backplane, BackplaneLog, BackplaneStats, FleetApp } from './backplane.ts'
import { RedisApp } from './redis-app.ts'
import { RedisHistory } from './redis-history.ts'
import { RedisLink } from './redis-link.ts'

export interface RedisBackplaneOptions {
  readonly url: string
  readonly prefix: string
  readonly settings: LiveSettings
  readonly log: BackplaneLog
}

/**
 * Instances that share a Redis: one of its channels for each app, which every instance hears. Measured with three instances, against one for each
 * Pusher channel: sending an event costs a third, Redis half, and hearing one that nobody here wants less than the bytes of one that somebody does.
 */
export class RedisBackplane implements Backplane {
  readonly #options: RedisBackplaneOptions
  readonly #instance = randomUUID()
  readonly #apps: RedisApp[] = []
  /** By the channel of Redis that they hear. */
  readonly #byTopic = new Map<string, RedisApp>()
  readonly #link: RedisLink
  readonly #counters = { published: 0, received: 0, missed: 0, invalid: 0 }
  #beating: NodeJS.Timeout | undefined
  /** What had been missed when the connection was lost. */
  #missedBefore = 0
  #isClosing = false

  constructor(options: RedisBackplaneOptions) {
    this.#options = options
    const { url, log } = options
    this.#link = new RedisLink({
      url,
      log,
      topics: () => [...this.#byTopic.keys()],
      onMessage: (topic, message) => this.#byTopic.get(topic)?.receive(message),
      onUp: () => this.#up(),
      onDown: () => this.#down(),
    })
  }

  join(app: FleetApp): AppBackplane {
    const { prefix, settings, log } = this.#options
    const place = `${prefix}:{${app.app.id}}:`
    const topic = `${place}messages`
    const ownTopic = `${place}to:${this.#instance}`
    const link = this.#link
    const shared = new RedisApp({ app, place, topic, ownTopic, instance: this.#instance, link, counters: this.#counters, settings, log })
    this.#apps.push(shared)
    for (const heard of [topic, ownTopic]) this.#byTopic.set(heard, shared)
    return shared
  }

  openHistory(listener: HistoryListener): History {
    const histories = new Map(this.#apps.map(app => [app.id, app.openHistory(listener)]))
    return new RedisHistory(histories, () => {
      for (const app of this.#apps) app.followHistories()
    })
  }

  async open(): Promise<void> {
    this.#beating = setInterval(() => {
      this.#link.probe()
      for (const app of this.#apps) void app.beat()
    }, this.#options.settings.timings.backplaneHeartbeatMs).unref()
    await this.#link.open()
  }

  stats(): BackplaneStats {
    const instances = Math.max(1, ...this.#apps.map(app => app.instances))
    return { connected: this.#link.isUp, instances, ...this.#counters }
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosing = true
    clearInterval(this.#beating)
    const timeout = new AbortController()
    const left = Promise.all(this.#apps.map(app => app.leave()))
    await Promise.race([left, delay(graceMs, undefined, { signal: timeout.signal }).catch(() => undefined)])
    timeout.abort()
    this.#link.close()
  }

  #up(): void {
    const missed = this.#counters.missed - this.#missedBefore
    this.#options.log.info({ missed }, 'the backplane is connected: events reach the sockets of all instances')
    for (const app of this.#apps) void app.up()
  }

  #down(): void {
    if (this.#isClosing) return
    this.#missedBefore = this.#counters.missed
    for (const app of this.#apps) app.down()
    this.#options.log.warn({}, 'the backplane does not answer: events reach the sockets of this instance only, until it is back')
  }
}
