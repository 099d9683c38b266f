import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from 'kafkajs'
import type { TopicSelector } from '../../compiler/plan.ts'
import type { CommittedOffset, RecordSink, TopicPartition } from '../broker.ts'
import { revoke } from '../revoke.ts'
import { keyOf } from './by-topic.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { isUnreachable, protocolType } from './kafka-error.ts'
import type { ConsumerSettings } from './kafka-settings.ts'
import type { Membership, MemberTerm } from './membership.ts'
import { PartitionFetcher } from './partition-fetcher.ts'
import { type FoundTopics, topicsChange } from './topic-lookup.ts'

/** A commit is tried again once where the coordinator moved or the connection broke; then its sender decides. */
const COMMIT_RETRY_MS = 200

type SessionEnd = 'rebalance' | 'lost' | 'topics' | 'stopped'

export interface GroupSessionOptions {
  readonly connection: KafkaConnection
  /** As `connection` has it now. */
  readonly cluster: Cluster
  readonly membership: Membership
  readonly settings: ConsumerSettings
  readonly sink: RecordSink
  /** What was assigned, where to start, and what was committed beside that. */
  readonly positions: readonly CommittedOffset[]
  readonly topics: { readonly selector: TopicSelector; readonly found: FoundTopics; readonly refreshMs: number }
  readonly onFailure: (error: unknown, retryInMs: number) => void
  readonly onSuccess: () => void
}

/** The life of one assignment: fetches and beats until the group rebalances, then stops fetching and lets the receiver drain. */
export class GroupSession {
  readonly #options: GroupSessionOptions
  readonly #fetcher: PartitionFetcher
  readonly #owned: Set<string>
  /** By the time a commit is tried again, the partition may be elsewhere, or here once more: it counts for this term or not at all. */
  readonly #term: MemberTerm
  /** When the last heartbeat was sent that found this member in its group; as `performance.now()`. */
  #confirmedAt = performance.now()
  /** Records wait for the next heartbeat's answer. */
  #holding = false
  /** Ends the pause before the next heartbeat. */
  #hurry: () => void = () => {}

  constructor(options: GroupSessionOptions) {
    this.#options = options
    this.#fetcher = new PartitionFetcher({ ...options, mayDeliver: () => this.#mayDeliver() })
    this.#term = options.membership.term
    this.#owned = new Set(options.positions.map(keyOf))
  }

  owns(partition: TopicPartition): boolean {
    return this.#owned.has(keyOf(partition))
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#fetcher.pause(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#fetcher.resume(partitions)
  }

  async commit(offsets: readonly CommittedOffset[]): Promise<void> {
    const { membership } = this.#options
    try {
      await membership.commit(offsets, this.#term)
    } catch (error) {
      if (!isUnreachable(error) && protocolType(error) !== 'NOT_COORDINATOR_FOR_GROUP') throw error
      await sleep(COMMIT_RETRY_MS)
      await membership.commit(offsets, this.#term)
    }
  }

  /** Resolves when the assignment is over and drained. */
  async run(stop: AbortSignal): Promise<SessionEnd> {
    const { sink, positions, settings } = this.#options
    const partitions = positions.map(({ topic, partition }) => ({ topic, partition }))
    if (positions.length > 0) sink.assigned(positions)
    sink.status({ kind: 'joined', partitions: partitions.length, hasCompany: this.#options.membership.hasCompany })
    this.#fetcher.start()
    const over = new AbortController()
    try {
      const end = await this.#end(stop, over.signal)
      this.#fetcher.stop()
      const lost = end === 'lost'
      if (end !== 'stopped') sink.status({ kind: 'rebalancing' })
      if (lost) this.#owned.clear()
      await revoke(sink, partitions, lost, settings.rebalanceTimeoutMs)
      return end
    } finally {
      // Only now: until the drain is over the group must not take this member for dead.
      over.abort()
      this.#fetcher.stop()
      this.#owned.clear()
    }
  }

  #end(stop: AbortSignal, over: AbortSignal): Promise<SessionEnd> {
    const { connection, cluster, membership, topics } = this.#options
    const stopped = new Promise<SessionEnd>(resolve => {
      if (stop.aborted) resolve('stopped')
      else stop.addEventListener('abort', () => resolve('stopped'), { once: true, signal: over })
    })
    const beaten = new Promise<SessionEnd>(resolve => void this.#beat(over, resolve))
    const changed = topicsChange({ connection, ...topics, leads: membership.leads, signal: over }, cluster).then(
      (): SessionEnd => 'topics',
      // Rejects when aborted: the session has ended some other way.
      () => stopped,
    )
    return Promise.race([stopped, beaten, changed])
  }

  /** Beats until `over`, through the drain too; `resolve` hears the first answer that ends the assignment. */
  async #beat(over: AbortSignal, resolve: (end: SessionEnd) => void): Promise<void> {
    const { membership, settings } = this.#options
    while (!over.aborted) {
      await this.#pauseBeats(settings.heartbeatIntervalMs, over)
      if (over.aborted) return
      try {
        const sentAt = performance.now()
        const answer = await membership.heartbeat()
        if (answer !== 'ok') resolve(answer)
        else this.#confirm(sentAt)
        if (answer === 'lost') return membership.forget()
        this.#options.onSuccess()
      } catch (error) {
        if (!over.aborted) this.#options.onFailure(error, settings.heartbeatIntervalMs)
      }
    }
  }

  /**
   * After a longer silence than the session allows (the process was frozen, the broker away) the group may have gone on without this member: nothing
   * more is started until it has been asked.
   */
  #mayDeliver(): boolean {
    if (performance.now() - this.#confirmedAt < this.#options.settings.sessionTimeoutMs) return true
    this.#holding = true
    this.#hurry()
    return false
  }

  #confirm(sentAt: number): void {
    this.#confirmedAt = sentAt
    if (!this.#holding) return
    this.#holding = false
    this.#fetcher.resume([])
  }

  #pauseBeats(ms: number, over: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const end = (): void => {
        clearTimeout(timer)
        over.removeEventListener('abort', end)
        this.#hurry = () => {}
        resolve()
      }
      const timer = setTimeout(end, ms)
      over.addEventListener('abort', end)
      this.#hurry = end
      if (over.aborted) end()
    })
  }
}
