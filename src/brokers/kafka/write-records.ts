import type { Cluster } from 'kafkajs'
import { BrokerError, type OutgoingRecord, type TopicPartition } from '../broker.ts'
import { keyPartition } from '../key-partition.ts'
import { keyOf } from './by-topic.ts'
import { produceBroker } from './produce-request.ts'
import { encodeRecordBatch } from './record-batch-writer.ts'

/** Records of one partition, in order, and why they were not written; undefined: they were. */
export interface WrittenPart<Item> {
  readonly items: readonly Item[]
  readonly error: unknown
}

const ALL_REPLICAS = -1

/** What the leader of a partition may wait for its replicas, in ms. */
const REPLICAS_TIMEOUT_MS = 30_000

interface Part<Item> extends TopicPartition {
  readonly leader: number
  readonly items: Item[]
}

/**
 * Writes records to the leaders of their partitions, in one request to each. Rejects where it does not come to that: a topic is unknown, nobody can be
 * reached.
 */
export async function writeRecords<Item extends { readonly record: OutgoingRecord }>(
  cluster: Cluster,
  items: readonly Item[],
): Promise<readonly WrittenPart<Item>[]> {
  await cluster.addMultipleTargetTopics([...new Set(items.map(({ record }) => record.topic))])
  await cluster.refreshMetadataIfNecessary()
  const parts = new Map<string, Part<Item>>()
  const written: WrittenPart<Item>[] = []
  for (const item of items) {
    const place = placeOf(cluster, item.record)
    if (place instanceof BrokerError) {
      written.push({ items: [item], error: place })
      continue
    }
    const part = parts.get(keyOf(place))
    if (part === undefined) parts.set(keyOf(place), { ...place, items: [item] })
    else part.items.push(item)
  }
  const leaders = new Set([...parts.values()].map(({ leader }) => leader))
  const requests = [...leaders].map(leader =>
    writeTo(
      cluster,
      leader,
      [...parts.values()].filter(part => part.leader === leader),
    ),
  )
  return [...written, ...(await Promise.all(requests)).flat()]
}

async function writeTo<Item extends { readonly record: OutgoingRecord }>(
  cluster: Cluster,
  leader: number,
  parts: readonly Part<Item>[],
): Promise<readonly WrittenPart<Item>[]> {
  const now = Date.now()
  try {
    const broker = produceBroker(await cluster.findBroker({ nodeId: String(leader) }))
    const results = await broker.produce({
      acks: ALL_REPLICAS,
      timeout: REPLICAS_TIMEOUT_MS,
      topicData: parts.map(({ topic, partition, items }) => ({
        topic,
        partition,
        batch: encodeRecordBatch(
          items.map(({ record }) => record),
          now,
        ),
      })),
    })
    const errors = new Map(results.map(result => [keyOf(result), result.error]))
    return parts.map(part => {
      const key = keyOf(part)
      return { items: part.items, error: errors.has(key) ? errors.get(key) : new Error(`the broker said nothing of ${key}`) }
    })
  } catch (error) {
    return parts.map(({ items }) => ({ items, error }))
  }
}

/** Spreads records without a key over the partitions in turn. */
let turn = 0

function placeOf(cluster: Cluster, { topic, key, partition: chosen }: OutgoingRecord): Omit<Part<unknown>, 'items'> | BrokerError {
  const partitions = cluster.findTopicPartitionMetadata(topic)
  const count = partitions.length
  if (count === 0) return new BrokerError('failed', `Kafka names no partitions of topic "${topic}" yet`, { retriable: true })
  const partition = chosen ?? (key === null ? turn++ % count : keyPartition(key, count))
  const found = partitions.find(({ partitionId }) => partitionId === partition)
  if (found !== undefined) return { topic, partition, leader: found.leader }
  return new BrokerError('failed', `topic "${topic}" has no partition ${partition}: it has ${count}`, { retriable: false })
}
