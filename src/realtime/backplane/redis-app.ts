import { setTimeout as delay } from 'node:timers/promises'
import { channelKind, channelNameFault } from '../channel-kind.ts'
import type { ChannelEvent } from '../delivery.ts'
import { cachedLifeMs } from '../event-cache.ts'
import type { HistoryListener } from '../history/history.ts'
import type { Member } from '../presence.ts'
import type { LiveSettings } from '../settings.ts'
import { AppHistory } from './app-history.ts'
import { AppLife } from './app-life.ts'
import type { AppBackplane, BackplaneLog, FleetApp, FleetListener, Occupancy } from './backplane.ts'
import { FleetQuestions } from './fleet-questions.ts'
import { OutgoingEvents } from './outgoing-events.ts'
import type { RedisLink } from './redis-link.ts'
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

const catchUpWithinMs = 2_000

/** One app on the backplane of Redis. */
export class RedisApp implements AppBackplane {
  readonly isShared = true
  readonly #options: RedisAppOptions
  readonly #outgoing: OutgoingEvents
  readonly #reports: Reports
  readonly #life: AppLife
  readonly #rosters: Rosters
  readonly #questions: FleetQuestions
  #history: AppHistory | undefined
  /** Cache channels of which the last event is known here, since messages are heard. */
  readonly #cachesKnown = new Set<string>()
  #listener: FleetListener | undefined

  constructor(options: RedisAppOptions) {
    this.#options = options
    const { app, place, topic, instance, link, counters, settings, log } = options
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
    this.#life = new AppLife({
      app,
      place,
      topic,
      instance,
      link,
      settings,
      log,
      reports: this.#reports,
      happened: event => this.#listener?.happened(event),
      roomForEnds: () => this.#listener?.roomForEnds() ?? 0,
      allLost: () => this.#rosters.doubt(2 * settings.timings.backplaneHeartbeatMs),
    })
    this.#questions = new FleetQuestions(link, place)
    this.#rosters = new Rosters({
      isOwn: incarnation => incarnation.startsWith(instance),
      read: channel => this.#questions.roster(channel),
      appeared: (channel, member) => this.#listener?.memberAppeared(channel, member),
      disappeared: (channel, member) => this.#listener?.memberDisappeared(channel, member),
    })
  }

  get instances(): number {
    return this.#life.instances
  }

  get id(): string {
    return this.#options.app.app.id
  }

  listen(listener: FleetListener): void {
    this.#listener = listener
  }

  openHistory(listener: HistoryListener): AppHistory {
    const { app, place, topic, ownTopic, link, settings } = this.#options
    const isKept = (channel: string): boolean => this.#isKept(channel)
    const rules = (): string => settings.rules.historyPatterns
    const history = new AppHistory({ app: app.app.id, place, topic, ownTopic, link, listener, isKept, rules })
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
    this.#life.reportSoon()
  }

  vacated(channel: string): void {
    this.#history?.follower.leave(channel)
    this.#rosters.forget(channel)
    this.#reports.channel(channel)
    this.#life.reportSoon()
  }

  countChanged(channel: string): void {
    this.#reports.channel(channel)
    this.#life.reportSoon()
  }

  tellCount(channel: string): void {
    this.#reports.count(channel)
    this.#life.reportSoon()
  }

  memberAdded(channel: string, { userId }: Member): void {
    // Followed already, unless nobody could be asked when its first member came.
    if (this.#options.link.isUp) this.#rosters.follow(channel)?.catch(() => {})
    this.#reports.member(channel, userId)
    this.#life.reportSoon()
  }

  memberRemoved(channel: string, { userId }: Member): void {
    this.#reports.member(channel, userId)
    this.#life.reportSoon()
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
    await this.#life.settled()
    return await this.#questions.channels(prefix)
  }

  async occupancy(channels: readonly string[]): Promise<readonly Occupancy[]> {
    await this.#life.settled()
    return await this.#questions.occupancy(channels)
  }

  async users(channel: string): Promise<readonly string[]> {
    await this.#life.settled()
    return await this.#questions.users(channel)
  }

  receive(message: Buffer): void {
    try {
      readMessage(message, this.#options.instance, this.#isWanted, this.#take)
    } catch (error) {
      // The rest of the message is lost, and not the process: what it holds somebody else has written.
      this.#options.log.warn({ err: error }, 'a message of the backplane could not be taken')
      this.#noteInvalid()
    }
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

  /** Says that this instance lives. Never rejects. */
  async beat(): Promise<void> {
    if (!this.#options.link.isUp) return
    this.#rosters.forgetUnless(channel => this.#options.app.channels.has(channel))
    await this.#life.beat()
  }

  /** Takes back what this instance has told. Never rejects. */
  async leave(): Promise<void> {
    this.#outgoing.flush()
    await this.#life.leave()
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
}
