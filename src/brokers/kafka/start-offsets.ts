import type { Cluster } from 'kafkajs'
import type { StartPosition } from '../../compiler/plan.ts'
import type { CommittedOffset, TopicPartition, TopicPartitionOffset } from '../broker.ts'
import { byTopic, keyOf } from './by-topic.ts'
import type { Membership } from './membership.ts'

const EARLIEST: StartPosition = { kind: 'earliest' }

/**
 * Decides where a group starts. A group without any commit is born: its start offsets are committed, all in one request, before anybody
 * joins. Several members starting at once cannot hurt each other: offsets are listed before the group is looked at, so that a late one
 * either sees the commits of the first or commits offsets that are no later; and once the group has a member Kafka refuses it.
 */
export class StartOffsets {
  readonly #from: StartPosition
  #born = false
  /** Where birth found members that had committed nothing: the starts this member commits once it has joined. */
  #pending: ReadonlyMap<string, number> = new Map()

  constructor(from: StartPosition) {
    this.#from = from
  }

  /** Once in a consumer's life, before it joins. */
  async beBorn(cluster: Cluster, membership: Membership, topics: readonly string[]): Promise<void> {
    if (this.#born) return
    const partitions = topics.flatMap(topic =>
      cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })),
    )
    const starts = await listOffsets(cluster, partitions, this.#from)
    const committed = await membership.committed(partitions)
    if (committed.length === 0 && starts.length > 0 && !(await membership.commitFromOutside(starts)))
      this.#pending = new Map(starts.map(start => [keyOf(start), start.offset]))
    this.#born = true
  }

  /** The next offset of each assigned partition. Partitions without a commit get one here: they came later, and start at the earliest. */
  async settle(cluster: Cluster, membership: Membership, assigned: readonly TopicPartition[]): Promise<readonly CommittedOffset[]> {
    const committed = await membership.committed(assigned)
    const known = new Set(committed.map(keyOf))
    const open = assigned.filter(partition => !known.has(keyOf(partition)))
    if (open.length === 0) return committed
    const earliest = await listOffsets(cluster, open, EARLIEST)
    const starts = earliest.map(start => ({ ...start, offset: this.#pending.get(keyOf(start)) ?? start.offset }))
    await membership.commit(starts, membership.term)
    return [...committed, ...starts]
  }
}

/** First offset at `position` of each partition. */
export async function listOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  position: StartPosition,
): Promise<readonly TopicPartitionOffset[]> {
  if (partitions.length === 0) return []
  const found = await cluster.fetchTopicsOffset(
    [...byTopic(partitions)].map(([topic, list]) => ({
      topic,
      partitions: list.map(({ partition }) => ({ partition })),
      ...(position.kind === 'timestamp' ? { fromTimestamp: position.timestamp } : { fromBeginning: position.kind === 'earliest' }),
    })),
  )
  const offsets = found.flatMap(({ topic, partitions: list }) =>
    list.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
  )
  // Nothing is as new as the timestamp: Kafka answers -1, and the partition starts at its end.
  const beyondEnd = offsets.filter(({ offset }) => offset < 0)
  if (beyondEnd.length === 0) return offsets
  return [...offsets.filter(({ offset }) => offset >= 0), ...(await listOffsets(cluster, beyondEnd, { kind: 'latest' }))]
}
