import { randomUUID } from 'node:crypto'
import type { LiveSettings } from '../settings.ts'
import type { WebhookPayload } from '../webhook-sender.ts'
import type { BackplaneLog, FleetApp } from './backplane.ts'
import type { RedisLink } from './redis-link.ts'
import { scripts } from './redis-scripts.ts'
import { type BeatReply, jsonText, type ReportNews, readBeat, readReport } from './replies.ts'
import type { Reports } from './reports.ts'
import { scriptHead } from './wire.ts'

export interface AppLifeOptions {
  readonly app: FleetApp
  /** What the app's keys start with. */
  readonly place: string
  readonly topic: string
  readonly instance: string
  readonly link: RedisLink
  readonly settings: LiveSettings
  readonly log: BackplaneLog
  /** What happens here and is to be told. */
  readonly reports: Reports
  /** News for webhooks. */
  readonly happened: (event: WebhookPayload) => void
  /** How many news of ends webhooks take before they drop some. */
  readonly roomForEnds: () => number
  /** Redis has lost what all instances had told, and is told again. */
  readonly allLost: () => void
}

/** Entries of a dead instance that are cleared away in one step. */
const clearedAtOnce = 500
/** Ends that are told after one beat. */
const endsAtOnce = 1_000

/**
 * This instance as the others know it, in one app: that it lives, and who is on its channels. It tells them, looks for others that are silent, and
 * clears away what those had told.
 */
export class AppLife {
  instances = 1
  readonly #options: AppLifeOptions
  #lives = 1
  #isRegistered = false
  #epoch: string | undefined
  #reporting: Promise<void> | undefined
  #isReportDue = false
  #endsSoon: NodeJS.Timeout | undefined
  /** Ends that beats without an answer may bring. */
  #endsAsked = 0

  constructor(options: AppLifeOptions) {
    this.#options = options
  }

  /** Says that this instance lives, and looks for those that do not. Never rejects. */
  async beat(): Promise<void> {
    const { link, settings } = this.#options
    if (!link.isUp) return
    const { backplaneLeaseMs } = settings.timings
    try {
      const reply = await this.#askAndTellEnds(backplaneLeaseMs)
      if (reply === undefined) return
      if (!reply.isAlive) {
        this.#startOver(reply.epoch)
        return await this.beat()
      }
      this.#epoch = reply.epoch
      this.#isRegistered = true
      this.instances = reply.instances
      this.reportSoon()
      for (const incarnation of reply.dead) await this.#clear(incarnation, backplaneLeaseMs)
      if (reply.over.length === endsAtOnce) await this.beat()
    } catch {
      // Redis is away: the link says so.
    }
  }

  /** Ends that webhooks have no room for, with what other beats may bring them, wait in Redis. */
  async #askAndTellEnds(leaseMs: number): Promise<BeatReply | undefined> {
    const most = Math.max(0, Math.min(endsAtOnce, this.#options.roomForEnds() - this.#endsAsked))
    const args = [this.#incarnation, this.#isRegistered ? '0' : '1', randomUUID(), leaseMs, leaseMs / 2, most]
    this.#endsAsked += most
    try {
      const reply = readBeat(await this.#options.link.run(scripts.beat, [...this.#shared, ...args]))
      for (const key of reply?.over ?? []) this.#tellOver(key)
      return reply
    } finally {
      this.#endsAsked -= most
    }
  }

  /** Takes back what this instance has told. Never rejects. */
  async leave(): Promise<void> {
    clearTimeout(this.#endsSoon)
    if (!this.#isRegistered || !this.#options.link.canSend) return
    try {
      await this.settled()
      this.#isRegistered = false
      await this.#clear(this.#incarnation, 0)
    } catch {
      // The others will find out.
    }
    clearTimeout(this.#endsSoon)
  }

  /** At the end of the turn. */
  reportSoon(): void {
    if (this.#isReportDue || this.#reporting !== undefined || this.#options.reports.isEmpty) return
    this.#isReportDue = true
    setImmediate(() => {
      this.#isReportDue = false
      // Redis is away: the next beat tries again.
      this.#report().catch(() => {})
    })
  }

  /** Everything that happened here up to now has been told. Rejects with BackplaneError. */
  async settled(): Promise<void> {
    await this.#reporting
    await this.#report()
  }

  #report(): Promise<void> {
    if (!this.#isRegistered || this.#options.reports.isEmpty) return Promise.resolve()
    this.#reporting ??= this.#reportAll().finally(() => {
      this.#reporting = undefined
      if (this.#options.link.isUp) this.reportSoon()
    })
    return this.#reporting
  }

  async #reportAll(): Promise<void> {
    while (this.#isRegistered && !this.#options.reports.isEmpty) {
      this.#options.link.expectToSend()
      const report = this.#options.reports.take()
      let reply: unknown
      try {
        reply = await this.#options.link.run(scripts.report, [...this.#shared, this.#incarnation, ...report.args])
      } catch (error) {
        report.failed()
        throw error
      }
      const news = readReport(reply)
      if (news === 'gone') {
        report.failed()
        this.#isRegistered = false
        void this.#registerAgain()
        return
      }
      report.done()
      for (const entry of news) this.#tellNews(entry)
      if (report.hasEnds) this.#lookForEnds()
    }
  }

  /** A beat that does not ask to be registered learns why it is not any more. */
  async #registerAgain(): Promise<void> {
    this.#isRegistered = true
    await this.beat()
  }

  get #incarnation(): string {
    return `${this.#options.instance}.${this.#lives}`
  }

  get #shared(): readonly (string | number)[] {
    const { place, topic, app, settings } = this.#options
    return [place, scriptHead, topic, app.app.webhooks === undefined ? 0 : Math.max(1, settings.timings.webhookDebounceMs)]
  }

  /** The others have cleared away what this instance told, or Redis has lost everything. */
  #startOver(epoch: string): void {
    const isLost = epoch !== this.#epoch
    const { log } = this.#options
    if (isLost) log.warn({}, 'the backplane has lost what it held: this instance tells it again')
    else log.warn({}, 'the other instances had given this one up: it tells them again')
    this.#lives += 1
    this.#isRegistered = false
    this.#options.reports.startOver(isLost)
    if (isLost) this.#options.allLost()
  }

  #tellNews(news: ReportNews): void {
    const { channel } = news
    if (news.kind === 'occupied') this.#options.happened({ name: 'channel_occupied', channel })
    else if (news.kind === 'added') this.#options.happened({ name: 'member_added', channel, user_id: news.userId })
    else this.#options.happened({ name: 'subscription_count', channel, subscription_count: news.subscriptions })
  }

  #tellOver(key: string): void {
    const end = key.indexOf('\n')
    const channel = key.slice(0, end)
    const written = key.slice(end + 1)
    const userId = jsonText(written)
    if (written === '') this.#options.happened({ name: 'channel_vacated', channel })
    else if (userId !== undefined) this.#options.happened({ name: 'member_removed', channel, user_id: userId })
  }

  /** What has ended is told once the time in which it may come back is over. */
  #lookForEnds(): void {
    const { app, settings } = this.#options
    if (app.app.webhooks === undefined || this.#endsSoon !== undefined) return
    this.#endsSoon = setTimeout(() => {
      this.#endsSoon = undefined
      void this.beat()
    }, settings.timings.webhookDebounceMs + 20).unref()
  }

  async #clear(incarnation: string, leaseMs: number): Promise<void> {
    const { link } = this.#options
    while ((await link.run(scripts.clear, [...this.#shared, incarnation, leaseMs, clearedAtOnce])) === 1);
    this.#lookForEnds()
  }
}
