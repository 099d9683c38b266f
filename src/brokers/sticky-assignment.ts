import type { TopicPartition } from './broker.ts'

export interface GroupMember {
  readonly id: string
  /** Topics this member takes partitions of. */
  readonly topics: readonly string[]
  /** What it had before this rebalance. */
  readonly owned: readonly TopicPartition[]
  /** The generation in which it got `owned`: where two members claim a partition, the later one has it. */
  readonly generation: number
}

/**
 * Shares out partitions so that nobody has two more than somebody who could take one, and so that a partition stays where it was
 * unless balance needs it elsewhere. Depends on its input alone, so every leader comes to the same result.
 */
export function stickyAssignment(
  members: readonly GroupMember[],
  partitionCounts: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly TopicPartition[]> {
  const shares = [...members].sort((a, b) => compare(a.id, b.id)).map(member => new Share(member))
  const free = keepOwned(shares, partitionCounts)
  for (const partition of free) leastLoaded(shares, partition.topic)?.partitions.push(partition)
  while (moveOne(shares)) {
    // Each move evens out two members, so this ends.
  }
  return new Map(shares.map(share => [share.id, share.partitions.sort(byPosition)]))
}

class Share {
  readonly id: string
  readonly topics: ReadonlySet<string>
  readonly owned: ReadonlyMap<string, number>
  readonly partitions: TopicPartition[] = []

  constructor(member: GroupMember) {
    this.id = member.id
    this.topics = new Set(member.topics)
    this.owned = new Map(member.owned.map(({ topic, partition }) => [`${topic}/${partition}`, member.generation]))
  }
}

function keepOwned(shares: readonly Share[], partitionCounts: ReadonlyMap<string, number>): TopicPartition[] {
  const free: TopicPartition[] = []
  for (const topic of [...partitionCounts.keys()].sort(compare)) {
    const count = partitionCounts.get(topic) ?? 0
    for (let partition = 0; partition < count; partition++) {
      const owner = lastOwner(shares, topic, partition)
      if (owner === undefined) free.push({ topic, partition })
      else owner.partitions.push({ topic, partition })
    }
  }
  return free
}

function lastOwner(shares: readonly Share[], topic: string, partition: number): Share | undefined {
  const key = `${topic}/${partition}`
  let owner: Share | undefined
  for (const share of shares) {
    const generation = share.topics.has(topic) ? share.owned.get(key) : undefined
    if (generation === undefined) continue
    if (owner === undefined || generation > (owner.owned.get(key) ?? -1)) owner = share
  }
  return owner
}

function leastLoaded(shares: readonly Share[], topic: string): Share | undefined {
  let least: Share | undefined
  for (const share of shares) {
    if (!share.topics.has(topic)) continue
    if (least === undefined || share.partitions.length < least.partitions.length) least = share
  }
  return least
}

function moveOne(shares: readonly Share[]): boolean {
  const byLoad = [...shares].sort((a, b) => b.partitions.length - a.partitions.length)
  for (const from of byLoad) {
    for (let index = from.partitions.length - 1; index >= 0; index--) {
      const partition = from.partitions[index]
      if (partition === undefined) continue
      const to = leastLoaded(shares, partition.topic)
      if (to === undefined || to.partitions.length + 1 >= from.partitions.length) continue
      from.partitions.splice(index, 1)
      to.partitions.push(partition)
      return true
    }
  }
  return false
}

function byPosition(a: TopicPartition, b: TopicPartition): number {
  return compare(a.topic, b.topic) || a.partition - b.partition
}

/** By code unit: the same in every locale, as members of one group may run in different ones. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
