import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerError, type CommittedOffset, type ConsumeOptions, type Consumer, type RecordSink, type TopicPartition } from '../broker.ts'
import { retryDelay } from './back-off.ts'
import { GroupMembership } from './group-membership.ts'
import { GroupSession } from './group-session.ts'
import { KafkaConnection } from './kafka-connection.ts'
import { type KafkaPlace, protocolType, toBrokerError } from './kafka-error.ts'
import type { KafkaLink } from './kafka-link.ts'
import type { ConsumerSettings } from './kafka-settings.ts'
import { LoneMembership } from './lone-membership.ts'
import type { Membership } from './membership.ts'
import { StartOffsets } from './start-offsets.ts'
import { type FoundTopics, findTopics } from './topic-lookup.ts'

/** While an outage lasts, the status says so again after this many ms. */
const REPORT_EVERY_MS = 10_000

/** How long a stop waits for an answer of the group: to a join under way, to the goodbye. */
const STOP_PATIENCE_MS = 3_000

/** The group moved on while this member was joining: it joins again, and nothing is wrong. */
const JOIN_AGAIN: ReadonlySet<string> = new Set(['REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION'])

export interface KafkaConsumerOptions {
  readonly consume: ConsumeOptions
  readonly sink: RecordSink
  readonly settings: ConsumerSettings
  readonly place: KafkaPlace
  readonly openLink: () => KafkaLink
  /** How often to look for new topics and partitions. */
  readonly topicRefreshMs: number
  readonly onStopped: () => void
}

/**
 * A member of a consumer group (or a reader without one) that comes back by itself, from everything, until it is stopped. It speaks the group's protocol through
 * kafkajs's connections but not through kafkajs's consumer, which has no awaited revoke, beats only between fetches and gives up on some
 * errors. Each generation of the group is one session with a connection of its own: no fetch of the last one can be in its way.
 */
export class KafkaConsumer implements Consumer {
  readonly #options: KafkaConsumerOptions
  readonly #membership: Membership
  readonly #starts: StartOffsets
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  readonly #announcedMissing = new Set<string>()
  #session: GroupSession | undefined
  #commits: Promise<unknown> = Promise.resolve()
  #failedSince: number | undefined
  #reportedAt = 0

  constructor(options: KafkaConsumerOptions) {
    this.#options = options
    const { group, startAt = [] } = options.consume
    this.#membership = group === undefined ? new LoneMembership(startAt) : new GroupMembership(group, options.settings)
    this.#starts = new StartOffsets(options.consume.from)
    this.#running = this.#run()
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#session?.pause(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#session?.resume(partitions)
  }

  /** One at a time, so that a commit that is tried again cannot overtake a later one. */
  commit(offsets: readonly CommittedOffset[]): Promise<void> {
    const session = this.#session
    const commit = this.#commits.then(() => this.#commit(offsets, session))
    this.#commits = commit.catch(() => {})
    return commit
  }

  stop(): Promise<void> {
    this.#stopping.abort()
    return this.#running
  }

  async #commit(offsets: readonly CommittedOffset[], session: GroupSession | undefined): Promise<void> {
    const owned = offsets.filter(offset => session?.owns(offset))
    if (session === undefined || owned.length === 0) return
    try {
      await session.commit(owned)
    } catch (error) {
      throw toBrokerError(error, `committing offsets while ${this.#membership.doing}`, this.#options.place)
    }
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      const connection = new KafkaConnection(this.#options.openLink, this.#options.settings.readUncommitted)
      this.#membership.use(connection)
      try {
        await this.#generation(connection)
        failures = 0
      } catch (error) {
        // A request may still be waiting for its answer, and the goodbye would have to wait for it too.
        if (this.#stopping.signal.aborted) connection.renew()
        else await this.#waitToRetry(error, failures++)
      }
      if (this.#stopping.signal.aborted) await this.#leave()
      connection.close()
    }
    this.#options.onStopped()
  }

  /** From joining the group to the end of what it assigned. */
  async #generation(connection: KafkaConnection): Promise<void> {
    const { consume, settings, sink, topicRefreshMs } = this.#options
    const { cluster, found, positions } = await this.#unlessStopped(this.#join(connection))
    const session = new GroupSession({
      connection,
      cluster,
      membership: this.#membership,
      settings,
      sink,
      positions,
      topics: { selector: consume.topics, found, refreshMs: topicRefreshMs },
      onFailure: (error, retryInMs) => this.#report(error, retryInMs),
      onSuccess: () => this.#recovered(positions.length),
    })
    this.#session = session
    this.#failedSince = undefined
    try {
      await session.run(this.#stopping.signal)
    } finally {
      this.#session = undefined
    }
  }

  async #join(connection: KafkaConnection) {
    const { topics: selector } = this.#options.consume
    const cluster = await connection.ready()
    const found = await findTopics(cluster, selector)
    // Also fills in the brokers where none of the topics exists.
    if (found.topics.length === 0) await cluster.refreshMetadata()
    connection.useTopics(found.topics)
    this.#announceMissing(found)
    await this.#starts.beBorn(cluster, this.#membership, found.topics)
    const assigned = await this.#membership.join(found.topics)
    return { cluster, found, positions: await this.#starts.settle(cluster, this.#membership, assigned) }
  }

  /** A stop does not wait long for a group that may take a minute to answer a join. */
  async #unlessStopped<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#stopping
    const done = new AbortController()
    const stopped = new Promise<'stopped'>(resolve => {
      signal.addEventListener('abort', () => setTimeout(() => resolve('stopped'), STOP_PATIENCE_MS).unref(), {
        once: true,
        signal: done.signal,
      })
    })
    const result = await Promise.race([work.then(value => ({ value })), stopped]).finally(() => done.abort())
    if (result === 'stopped' || signal.aborted) throw new BrokerError('closed', 'the consumer was stopped', { retriable: false })
    return result.value
  }

  async #leave(): Promise<void> {
    const leaving = this.#membership.leave().catch(() => {
      // The session times out by itself.
    })
    await Promise.race([leaving, sleep(STOP_PATIENCE_MS, undefined, { ref: false })])
  }

  async #waitToRetry(error: unknown, failures: number): Promise<void> {
    const retryInMs = retryDelay(failures)
    if (!JOIN_AGAIN.has(protocolType(error) ?? '')) this.#report(error, retryInMs)
    await sleep(retryInMs, undefined, { signal: this.#stopping.signal }).catch(() => {
      // Stopped: the loop sees it.
    })
  }

  #report(error: unknown, retryInMs: number): void {
    const now = Date.now()
    this.#failedSince ??= now
    if (now - this.#reportedAt < REPORT_EVERY_MS && this.#reportedAt >= this.#failedSince) return
    this.#reportedAt = now
    const { place, sink } = this.#options
    sink.status({ kind: 'disconnected', error: toBrokerError(error, this.#membership.doing, place), retryInMs })
  }

  #recovered(partitions: number): void {
    if (this.#failedSince === undefined) return
    this.#failedSince = undefined
    this.#options.sink.status({ kind: 'joined', partitions, hasCompany: this.#membership.hasCompany })
  }

  #announceMissing({ missing }: FoundTopics): void {
    for (const topic of missing) {
      if (this.#announcedMissing.has(topic)) continue
      this.#announcedMissing.add(topic)
      this.#options.sink.status({ kind: 'warning', message: `topic "${topic}" does not exist yet: waiting for it` })
    }
    for (const topic of this.#announcedMissing) if (!missing.includes(topic)) this.#announcedMissing.delete(topic)
  }
}
