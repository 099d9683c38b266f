import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StartPosition } from '../../compiler/plan.ts'
import type { CommittedOffset, TopicPartition, TopicPartitionOffset } from '../broker.ts'
import { stickyAssignment } from '../sticky-assignment.ts'
import { selectsTopic } from '../topic-name.ts'
import type { MemoryCluster } from './memory-cluster.ts'
import type { MemoryMember } from './memory-member.ts'
import type { PartitionLog } from './partition-log.ts'

/** A consumer group: its members, who has which partition, its committed offsets (they outlive the members). */
export class MemoryGroup {
  readonly #cluster: MemoryCluster
  readonly #members = new Set<MemoryMember>()
  readonly #offsets = new Map<string, CommittedOffset>()
  #rebalancing = false
  #again = false
  #generation = 0

  constructor(cluster: MemoryCluster) {
    this.#cluster = cluster
  }

  join(member: MemoryMember, from: StartPosition): void {
    if (this.#offsets.size === 0 && this.#members.size === 0) this.#commitBirth(member, from)
    this.#members.add(member)
    void this.#rebalance()
  }

  get isActive(): boolean {
    return this.#members.size > 0
  }

  get size(): number {
    return this.#members.size
  }

  /** The member has let go of its partitions. */
  leave(member: MemoryMember): void {
    this.#members.delete(member)
    void this.#rebalance()
  }

  topicAppeared(topic: string): void {
    if ([...this.#members].some(member => selectsTopic(member.topics, topic))) void this.#rebalance()
  }

  commit({ topic, partition, offset, metadata }: CommittedOffset): void {
    this.#offsets.set(positionKey({ topic, partition }), { topic, partition, offset, metadata })
  }

  committed(position: TopicPartition): CommittedOffset | undefined {
    return this.#offsets.get(positionKey(position))
  }

  committedOffsets(topics: readonly string[]): readonly TopicPartitionOffset[] {
    return [...this.#offsets.values()]
      .filter(({ topic }) => topics.includes(topic))
      .map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  }

  #commitBirth(member: MemoryMember, from: StartPosition): void {
    for (const topic of this.#cluster.topics) {
      if (!selectsTopic(member.topics, topic)) continue
      for (const log of this.#cluster.logs(topic)) this.commit({ topic, partition: log.partition, offset: startOffset(log, from) })
    }
  }

  /** Partitions that move are let go first, by everybody at once, and handed over when the last one is free. */
  async #rebalance(): Promise<void> {
    this.#again = true
    if (this.#rebalancing) return
    this.#rebalancing = true
    while (this.#again) {
      // Members that join in the same turn are shared out at once, and nobody is assigned anything before its `consume` has resolved.
      await nextTurn()
      this.#again = false
      const assignment = this.#assignment()
      const wanted = (member: MemoryMember): readonly TopicPartition[] => assignment.get(member.id) ?? []
      // A member that is stopping waits here too: its partitions are free only when it has drained.
      await Promise.all([...this.#members].map(member => member.releaseAllBut(wanted(member))))
      if (this.#again) continue
      this.#generation++
      for (const member of this.#members) if (!member.stopping) member.grant(this.#logsOf(wanted(member)))
    }
    this.#rebalancing = false
  }

  #assignment(): ReadonlyMap<string, readonly TopicPartition[]> {
    const members = [...this.#members].filter(member => !member.stopping)
    const topics = this.#cluster.topics.filter(topic => members.some(member => selectsTopic(member.topics, topic)))
    return stickyAssignment(
      members.map(member => ({
        id: member.id,
        topics: topics.filter(topic => selectsTopic(member.topics, topic)),
        owned: member.owned,
        generation: this.#generation,
      })),
      new Map(topics.map(topic => [topic, this.#cluster.logs(topic).length])),
    )
  }

  #logsOf(partitions: readonly TopicPartition[]): readonly PartitionLog[] {
    return partitions.flatMap(({ topic, partition }) => this.#cluster.logs(topic)[partition] ?? [])
  }
}

function startOffset(log: PartitionLog, from: StartPosition): number {
  switch (from.kind) {
    case 'earliest':
      return log.low
    case 'latest':
      return log.high
    case 'timestamp':
      return log.offsetAt(from.timestamp)
  }
}

export function positionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
