import type { Cluster } from 'kafkajs'
import { BrokerError, type CommittedOffset, type TopicPartition } from '../broker.ts'
import { byTopic } from './by-topic.ts'
import { findCoordinator, type GroupBroker, type JoinResponse } from './group-broker.ts'
import { assign, decodeAssignment, decodeMember, encodeMember, PROTOCOL_NAME } from './group-protocol.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { isUnreachable, protocolType } from './kafka-error.ts'
import type { ConsumerSettings } from './kafka-settings.ts'
import type { HeartbeatAnswer, Membership, MemberTerm } from './membership.ts'

/** The session is over: the coordinator knows this member no more, or it has gone on without it. */
const LOST: ReadonlySet<string> = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'])

const COORDINATOR_MOVED: ReadonlySet<string> = new Set([
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
])

/** One member's standing in its group. It outlives connections: `use` gives it the next. */
export class GroupMembership implements Membership {
  readonly #group: string
  readonly #settings: ConsumerSettings
  #connection: KafkaConnection | undefined
  /** Where the group is coordinated, as found through `cluster`. */
  #found: { readonly cluster: Cluster; readonly coordinator: GroupBroker } | undefined
  #memberId = ''
  #generation = -1
  /** Partitions of the last generation, for the leader to leave where they are. */
  #owned: readonly TopicPartition[] = []
  #leads = false
  #hasCompany = false

  constructor(group: string, settings: ConsumerSettings) {
    this.#group = group
    this.#settings = settings
  }

  /** This member shares out the partitions: it is the one that has to notice new ones. */
  get leads(): boolean {
    return this.#leads
  }

  get hasCompany(): boolean {
    return this.#hasCompany
  }

  get doing(): string {
    return `consuming as group "${this.#group}"`
  }

  get term(): MemberTerm {
    return { memberId: this.#memberId, generation: this.#generation }
  }

  use(connection: KafkaConnection): void {
    this.#connection = connection
    this.#found = undefined
  }

  /** Joins (again) and answers with this member's partitions. Waits while other members drain. */
  async join(topics: readonly string[]): Promise<readonly TopicPartition[]> {
    try {
      const { cluster, coordinator } = await this.#find()
      const joined = await coordinator.joinGroup({
        groupId: this.#group,
        sessionTimeout: this.#settings.sessionTimeoutMs,
        rebalanceTimeout: this.#settings.rebalanceTimeoutMs,
        memberId: this.#memberId,
        groupProtocols: [{ name: PROTOCOL_NAME, metadata: encodeMember(topics, this.#owned, this.#generation) }],
      })
      this.#memberId = joined.memberId
      this.#generation = joined.generationId
      this.#leads = joined.leaderId === joined.memberId
      // Only the leader is told who else there is.
      this.#hasCompany = !this.#leads || joined.members.length > 1
      const { memberAssignment } = await coordinator.syncGroup({
        groupId: this.#group,
        generationId: this.#generation,
        memberId: this.#memberId,
        groupAssignment: this.#leads ? await shareOut(cluster, joined.members) : [],
      })
      this.#owned = decodeAssignment(memberAssignment).filter(({ topic }) => topics.includes(topic))
      return this.#owned
    } catch (error) {
      if (LOST.has(protocolType(error) ?? '')) this.forget()
      this.#failed(error)
      throw error
    }
  }

  /** Throws where no answer came. */
  async heartbeat(): Promise<HeartbeatAnswer> {
    try {
      const { coordinator } = await this.#find()
      await coordinator.heartbeat({ groupId: this.#group, groupGenerationId: this.#generation, memberId: this.#memberId })
      return 'ok'
    } catch (error) {
      const type = protocolType(error) ?? ''
      if (type === 'REBALANCE_IN_PROGRESS') return 'rebalance'
      if (LOST.has(type)) return 'lost'
      this.#failed(error)
      throw error
    }
  }

  async commit(offsets: readonly CommittedOffset[], term: MemberTerm): Promise<void> {
    await this.#commit(offsets, term)
  }

  /**
   * Commits for a group without members, as a tool does. False where the group has members (Kafka then takes commits of members only):
   * they have decided where it starts.
   */
  async commitFromOutside(offsets: readonly CommittedOffset[]): Promise<boolean> {
    try {
      await this.#commit(offsets, { memberId: '', generation: -1 })
      return true
    } catch (error) {
      const type = protocolType(error) ?? ''
      if (LOST.has(type) || type === 'REBALANCE_IN_PROGRESS') return false
      throw error
    }
  }

  /** Committed offsets of these partitions; those without a commit are left out. */
  async committed(partitions: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    if (partitions.length === 0) return []
    const topics = wireOffsets(partitions.map(partition => ({ ...partition, offset: -1 })))
    const { responses } = await this.#ask(coordinator => coordinator.offsetFetch({ groupId: this.#group, topics }))
    return responses
      .flatMap(({ topic, partitions: found }) =>
        // Kafka keeps no metadata as an empty text.
        found.map(({ partition, offset, metadata }) => ({ topic, partition, offset: Number(offset), metadata: metadata || undefined })),
      )
      .filter(({ offset }) => offset >= 0)
  }

  /** Tells the group at once, so that it need not wait for the session to time out. */
  async leave(): Promise<void> {
    const memberId = this.#memberId
    if (memberId === '') return
    this.forget()
    await this.#ask(coordinator => coordinator.leaveGroup({ groupId: this.#group, memberId }))
  }

  /** The next join is a new member's. What it had is remembered: it may get it again. */
  forget(): void {
    this.#memberId = ''
    this.#leads = false
  }

  async #commit(offsets: readonly CommittedOffset[], { memberId, generation }: MemberTerm): Promise<void> {
    const topics = wireOffsets(offsets)
    await this.#ask(coordinator => coordinator.offsetCommit({ groupId: this.#group, memberId, groupGenerationId: generation, topics }))
  }

  async #ask<T>(request: (coordinator: GroupBroker) => Promise<T>): Promise<T> {
    try {
      const { coordinator } = await this.#find()
      return await request(coordinator)
    } catch (error) {
      this.#failed(error)
      throw error
    }
  }

  async #find(): Promise<{ readonly cluster: Cluster; readonly coordinator: GroupBroker }> {
    if (this.#connection === undefined) throw new BrokerError('closed', 'the consumer has no connection yet', { retriable: true })
    const cluster = await this.#connection.ready()
    if (this.#found?.cluster === cluster) return this.#found
    const coordinator = await findCoordinator(cluster, this.#group)
    this.#found = { cluster, coordinator }
    return this.#found
  }

  #failed(error: unknown): void {
    if (this.#found !== undefined) this.#connection?.failed(this.#found.cluster, error)
    if (isUnreachable(error) || COORDINATOR_MOVED.has(protocolType(error) ?? '')) this.#found = undefined
  }
}

/** The leader's part of joining. */
async function shareOut(cluster: Cluster, members: JoinResponse['members']): Promise<ReturnType<typeof assign>> {
  const decoded = members.map(decodeMember)
  return assign(decoded, await partitionCounts(cluster, new Set(decoded.flatMap(member => member.topics))))
}

/** Members may know topics this one does not know yet. */
async function partitionCounts(cluster: Cluster, topics: ReadonlySet<string>): Promise<ReadonlyMap<string, number>> {
  await cluster.refreshMetadata()
  const counts = new Map<string, number>()
  for (const topic of topics) {
    if (cluster.findTopicPartitionMetadata(topic).length === 0) await cluster.addTargetTopic(topic).catch(ignoreUnknownTopic)
    counts.set(topic, cluster.findTopicPartitionMetadata(topic).length)
  }
  return counts
}

function ignoreUnknownTopic(error: unknown): void {
  if (protocolType(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
}

interface WireOffset {
  readonly partition: number
  readonly offset: string
  readonly metadata: string | null
}

function wireOffsets(offsets: readonly CommittedOffset[]): { topic: string; partitions: WireOffset[] }[] {
  return [...byTopic(offsets)].map(([topic, list]) => ({
    topic,
    partitions: list.map(({ partition, offset, metadata = null }) => ({ partition, offset: String(offset), metadata })),
  }))
}
