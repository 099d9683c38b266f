import type { TopicPartition } from '../broker.ts'

/** Kafka's requests list partitions below their topic. */
export function byTopic<T extends TopicPartition>(partitions: readonly T[]): ReadonlyMap<string, readonly T[]> {
  const lists = new Map<string, T[]>()
  for (const partition of partitions) {
    const list = lists.get(partition.topic)
    if (list === undefined) lists.set(partition.topic, [partition])
    else list.push(partition)
  }
  return lists
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
