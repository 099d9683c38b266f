import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { ChannelEvent } from '../delivery.ts'
import { cachedLifeMs } from '../event-cache.ts'
import type { HistoryListener } from '../history/history.ts'
import type { Member } from '../presence.ts'
import type { LiveSettings } from '../settings.ts'
import { AppHistory } from './app-history.ts'
import type { AppBackplane, BackplaneLog, FleetApp, FleetListener, Occupancy } from './backplane.ts'
import { FleetQuestions } from './fleet-questions.ts'
import { OutgoingEvents } from './outgoing-events.ts'
import type { RedisLink } from './redis-link.ts'
import { scripts } from './redis-scripts.ts'
import { jsonText, type ReportNews, readBeat, readReport } from './replies.ts'
import { Reports } from './reports.ts'
import { Rosters } from './rosters.ts'
import { eventLine, headOf, type KeptLine, type Line, readMessage, terminateLine } from './wire.ts'

export interface BackplaneCounters {
  published: number
  received: number
  missed: number
  invalid: number
}

export interface RedisAppOptions {
  readonly app: FleetApp
  /** What the app's keys start with. */
  readonly place: string
  readonly topic: string
  /** Heard by this instance alone. */
  readonly ownTopic: string
  readonly instance: string
  readonly link: RedisLink
  readonly counters: BackplaneCounters
  readonly settings: LiveSettings
  readonly log: BackplaneLog
}

/** Messages of scripts are for every instance, the one that ran them among them. */
const scriptHead = headOf('*')
const catchUpWithinMs = 2_000
/** Entries of a dead instance that are cleared away in one step. */
const clearedAtOnce = 500

/** One app on the backplane of Redis. */
export class RedisApp implements AppBackplane {
  readonly isShared = true
  instances = 1
  readonly #options: RedisAppOptions
  readonly #outgoing: OutgoingEvents
  readonly #reports: Reports
  readonly #rosters: Rosters
  readonly #questions: FleetQuestions
  #history: AppHistory | undefined
  /** Cache channels of which the last event is known here, since messages are heard. */
  readonly #cachesKnown = new Set<string>()
  #listener: FleetListener | undefined
  #lives = 1
  #isRegistered = false
  #epoch: string | undefined
  #reporting: Promise<void> | undefined
  #isReportDue = false
  #endsSoon: NodeJS.Timeout | undefined

  constructor(options: RedisAppOptions) {
    this.#options = options
    const { app, link, topic, instance, counters, place } = options
    this.#outgoing = new OutgoingEvents({
      head: headOf(instance),
      canSend: () => link.canSend,
      send: message => link.ask(redis => redis.publish(topic, message)),
      sent: events => {
        counters.published += events
      },
      missed: events => {
        counters.missed += events
      },
    })
    this.#reports = new Reports(app)
    this.#questions = new FleetQuestions(link, place)
    this.#rosters = new Rosters({
      isOwn: incarnation => incarnation.startsWith(instance),
      read: channel => this.#questions.roster(channel),
      appeared: (channel, member) => this.#listener?.memberAppeared(channel, member),
      disappeared: (channel, member) => this.#listener?.memberDisappeared(channel, member),
    })
  }

  get id(): string {
    return this.#options.app.app.id
  }

  listen(listener: FleetListener): void {
    this.#listener = listener
  }

  openHistory(listener: HistoryListener): AppHistory {
    const { app, place, topic, ownTopic, link } = this.#options
    const history = new AppHistory({ app: app.app.id, place, topic, ownTopic, link, listener, isKept: channel => this.#isKept(channel) })
    this.#history = history
    return history
  }

  /** After a change of the rules. */
  followHistories(): void {
    for (const channel of this.#options.app.channels.keys()) {
      if (this.#isKept(channel)) this.#history?.follower.follow(channel)
      else this.#history?.follower.leave(channel)
    }
  }

  publish(channel: string, event: ChannelEvent, except: string | undefined): void {
    const line = eventLine(channel, event, except)
    this.#outgoing.add(line)
    if (event.fromClient === true || !channelKind(channel).cached) return
    this.#noteCache(channel)
    if (this.#options.link.canSend) this.#questions.keep(channel, Buffer.from(line, 'latin1'), cachedLifeMs)
  }

  terminateUser(userId: string): void {
    this.#outgoing.add(terminateLine(userId))
  }

  occupied(channel: string): void {
    if (this.#isKept(channel)) this.#history?.follower.follow(channel)
    this.#reports.channel(channel)
    this.#reportSoon()
  }

  vacated(channel: string): void {
    this.#history?.follower.leave(channel)
    this.#rosters.forget(channel)
    this.#reports.channel(channel)
    this.#reportSoon()
  }

  countChanged(channel: string): void {
    this.#reports.channel(channel)
    this.#reportSoon()
  }

  tellCount(channel: string): void {
    this.#reports.count(channel)
    this.#reportSoon()
  }

  memberAdded(channel: string, { userId }: Member): void {
    // Followed already, unless nobody could be asked when its first member came.
    if (this.#options.link.isUp) this.#rosters.follow(channel)?.catch(() => {})
    this.#reports.member(channel, userId)
    this.#reportSoon()
  }

  memberRemoved(channel: string, { userId }: Member): void {
    this.#reports.member(channel, userId)
    this.#reportSoon()
  }

  catchUp(channel: string): Promise<void> | undefined {
    const { kind, cached } = channelKind(channel)
    if (!this.#options.link.isUp) return undefined
    const members = kind === 'presence' ? this.#rosters.follow(channel) : undefined
    const lastEvent = cached && !this.#cachesKnown.has(channel) ? this.#readCache(channel) : undefined
    if (members === undefined && lastEvent === undefined) return undefined
    const timeout = new AbortController()
    const known = Promise.allSettled([members, lastEvent]).then(() => timeout.abort())
    return Promise.race([known, delay(catchUpWithinMs, undefined, { signal: timeout.signal, ref: false }).catch(() => {})])
  }

  membersElsewhere(channel: string): ReadonlyMap<string, Member> {
    return this.#rosters.members(channel)
  }

  async channels(prefix: string): Promise<ReadonlyMap<string, Occupancy>> {
    await this.#settled()
    return await this.#questions.channels(prefix)
  }

  async occupancy(channels: readonly string[]): Promise<readonly Occupancy[]> {
    await this.#settled()
    return await this.#questions.occupancy(channels)
  }

  async users(channel: string): Promise<readonly string[]> {
    await this.#settled()
    return await this.#questions.users(channel)
  }

  receive(message: Buffer): void {
    readMessage(message, this.#options.instance, this.#isWanted, this.#take)
  }

  /** The connection works again, or for the first time: what was said in between was not heard. */
  async up(): Promise<void> {
    this.#cachesKnown.clear()
    this.#history?.up()
    await this.beat()
    for (const { name, members } of this.#options.app.channels.values()) {
      if (members !== undefined) this.#rosters.follow(name)?.catch(() => {})
    }
    this.#rosters.reload()
  }

  down(): void {
    this.#history?.down()
  }

  /** Says that this instance lives, and looks for those that do not. Never rejects. */
  async beat(): Promise<void> {
    const { link, settings, app } = this.#options
    if (!link.isUp) return
    const { backplaneLeaseMs } = settings.timings
    try {
      const args = [this.#incarnation, this.#isRegistered ? '0' : '1', randomUUID(), backplaneLeaseMs, backplaneLeaseMs / 2]
      const reply = readBeat(await link.run(scripts.beat, [...this.#shared, ...args]))
      if (reply === undefined) return
      if (!reply.isAlive) {
        this.#startOver(reply.epoch)
        return await this.beat()
      }
      this.#epoch = reply.epoch
      this.#isRegistered = true
      this.instances = reply.instances
      this.#reportSoon()
      this.#rosters.forgetUnless(channel => app.channels.has(channel))
      for (const key of reply.over) this.#tellOver(key)
      for (const incarnation of reply.dead) await this.#clear(incarnation, backplaneLeaseMs)
    } catch {
      // Redis is away: the link says so.
    }
  }

  /** Takes back what this instance has told. Never rejects. */
  async leave(): Promise<void> {
    clearTimeout(this.#endsSoon)
    this.#outgoing.flush()
    if (!this.#isRegistered || !this.#options.link.canSend) return
    try {
      await this.#settled()
      this.#isRegistered = false
      await this.#clear(this.#incarnation, 0)
    } catch {
      // The others will find out.
    }
    clearTimeout(this.#endsSoon)
  }

  get #incarnation(): string {
    return `${this.#options.instance}.${this.#lives}`
  }

  get #shared(): readonly (string | number)[] {
    const { place, topic, app, settings } = this.#options
    return [place, scriptHead, topic, app.app.webhooks === undefined ? 0 : Math.max(1, settings.timings.webhookDebounceMs)]
  }

  #isKept(channel: string): boolean {
    return this.#options.settings.rules.historyOf(channel) !== undefined
  }

  readonly #isWanted = (channel: string): boolean => {
    const { app, settings } = this.#options
    if (app.channels.has(channel)) return true
    return channel.includes('cache-') && channelKind(channel).cached && channelNameFault(channel, settings.limits) === undefined
  }

  readonly #take = (line: Line | undefined): void => {
    if (line === undefined) this.#noteInvalid()
    else if (line.kind === 'event') this.#takeEvent(line.channel, line.event, line.except)
    else if (line.kind === 'kept') this.#takeKept(line)
    else if (line.kind === 'stand') this.#history?.follower.stands(line.channel, line.at)
    else if (line.kind === 'member') this.#rosters.heard(line)
    else if (line.kind === 'count') this.#listener?.counted(line.channel, line.subscriptions)
    else this.#listener?.terminateUser(line.userId)
  }

  #takeEvent(channel: string, event: ChannelEvent, except: string | undefined): void {
    this.#options.counters.received += 1
    if (event.fromClient !== true && channelKind(channel).cached) this.#noteCache(channel)
    this.#listener?.deliver(channel, event, except)
  }

  #takeKept({ channel, event, except }: KeptLine): void {
    this.#options.counters.received += 1
    if (channelKind(channel).cached) this.#noteCache(channel)
    this.#history?.follower.heard(channel, event, except)
  }

  #noteInvalid(): void {
    const { counters, log } = this.#options
    counters.invalid += 1
    if (counters.invalid > 1) return
    log.warn({}, 'the backplane holds messages that no instance of this version has sent: they are left out and counted')
  }

  #noteCache(channel: string): void {
    if (this.#cachesKnown.size >= this.#options.settings.limits.cachedChannels) this.#cachesKnown.clear()
    this.#cachesKnown.add(channel)
  }

  async #readCache(channel: string): Promise<void> {
    const kept = await this.#questions.kept(channel)
    // One that came by message in the meantime is newer.
    if (this.#cachesKnown.has(channel)) return
    this.#noteCache(channel)
    if (kept !== undefined) this.#listener?.keep(channel, kept.event, kept.leftMs)
  }

  /** The others have cleared away what this instance told, or Redis has lost everything. */
  #startOver(epoch: string): void {
    const isLost = epoch !== this.#epoch
    const { log, settings } = this.#options
    if (isLost) log.warn({}, 'the backplane has lost what it held: this instance tells it again')
    else log.warn({}, 'the other instances had given this one up: it tells them again')
    this.#lives += 1
    this.#isRegistered = false
    this.#reports.startOver(isLost)
    if (isLost) this.#rosters.doubt(2 * settings.timings.backplaneHeartbeatMs)
  }

  #reportSoon(): void {
    if (this.#isReportDue || this.#reporting !== undefined || this.#reports.isEmpty) return
    this.#isReportDue = true
    setImmediate(() => {
      this.#isReportDue = false
      // Redis is away: the next beat tries again.
      this.#report().catch(() => {})
    })
  }

  /** Everything that happened here up to now has been told. Rejects with BackplaneError. */
  async #settled(): Promise<void> {
    await this.#reporting
    await this.#report()
  }

  #report(): Promise<void> {
    if (!this.#isRegistered || this.#reports.isEmpty) return Promise.resolve()
    this.#reporting ??= this.#reportAll().finally(() => {
      this.#reporting = undefined
      if (this.#options.link.isUp) this.#reportSoon()
    })
    return this.#reporting
  }

  async #reportAll(): Promise<void> {
    while (this.#isRegistered && !this.#reports.isEmpty) {
      const report = this.#reports.take()
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

  #tellNews(news: ReportNews): void {
    const { channel } = news
    if (news.kind === 'occupied') this.#listener?.happened({ name: 'channel_occupied', channel })
    else if (news.kind === 'added') this.#listener?.happened({ name: 'member_added', channel, user_id: news.userId })
    else this.#listener?.happened({ name: 'subscription_count', channel, subscription_count: news.subscriptions })
  }

  #tellOver(key: string): void {
    const end = key.indexOf('\n')
    const channel = key.slice(0, end)
    const written = key.slice(end + 1)
    const userId = jsonText(written)
    if (written === '') this.#listener?.happened({ name: 'channel_vacated', channel })
    else if (userId !== undefined) this.#listener?.happened({ name: 'member_removed', channel, user_id: userId })
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
