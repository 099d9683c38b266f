import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from 'kafkajs'
import type { TopicSelector } from '../../compiler/plan.ts'
import { BrokerError } from '../broker.ts'
import { isInternalTopic } from '../topic-name.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { protocolType } from './kafka-error.ts'

/** A topic that is waited for is looked for this often. */
const MISSING_TOPIC_MS = 1_000

export interface FoundTopics {
  /** Those that exist. The cluster client keeps their metadata from now on. */
  readonly topics: readonly string[]
  /** Named, but not there yet. */
  readonly missing: readonly string[]
}

/** Never creates a topic. Asks for all topics only where there are patterns: the list fails as a whole when a foreign topic is offline. */
export async function findTopics(cluster: Cluster, selector: TopicSelector): Promise<FoundTopics> {
  const topics = new Set<string>()
  const missing: string[] = []
  for (const name of selector.names) {
    if (await knows(cluster, name)) topics.add(name)
    else missing.push(name)
  }
  for (const name of selector.optional ?? []) if (await mayRead(cluster, name)) topics.add(name)
  for (const topic of await matching(cluster, selector)) topics.add(topic)
  if (topics.size > 0) await cluster.addMultipleTargetTopics([...topics])
  return { topics: [...topics], missing }
}

export interface TopicWatch {
  readonly connection: KafkaConnection
  readonly selector: TopicSelector
  readonly found: FoundTopics
  readonly refreshMs: number
  /** Whether more partitions of a topic concern this member: the leader shares them out. */
  readonly leads: boolean
  readonly signal: AbortSignal
}

/** Resolves when the topics of a subscription or their partitions are no longer those found; rejects when aborted. */
export async function topicsChange(watch: TopicWatch, cluster: Cluster): Promise<void> {
  const before = partitionCount(cluster, watch.found)
  let refreshAt = Date.now() + watch.refreshMs
  for (;;) {
    const untilRefresh = Math.max(0, refreshAt - Date.now())
    await sleep(watch.found.missing.length > 0 ? Math.min(MISSING_TOPIC_MS, untilRefresh) : untilRefresh, undefined, {
      signal: watch.signal,
    })
    const refresh = Date.now() >= refreshAt
    if (refresh) refreshAt = Date.now() + watch.refreshMs
    if (await hasChanged(watch, before, refresh)) return
  }
}

async function hasChanged(watch: TopicWatch, before: number, refresh: boolean): Promise<boolean> {
  const { connection, found, selector } = watch
  try {
    const cluster = await connection.ready()
    for (const name of found.missing) if (await knows(cluster, name)) return true
    if (!refresh) return false
    const known = new Set(found.topics)
    for (const name of selector.optional ?? []) if (!known.has(name) && (await mayRead(cluster, name))) return true
    for (const topic of await matching(cluster, selector)) if (!known.has(topic)) return true
    await cluster.refreshMetadata()
    return watch.leads && partitionCount(cluster, found) !== before
  } catch (error) {
    // A topic of ours was deleted. Anything else is for the fetch loops and heartbeats to report: they notice it sooner.
    return protocolType(error) === 'UNKNOWN_TOPIC_OR_PARTITION'
  }
}

function partitionCount(cluster: Cluster, found: FoundTopics): number {
  return found.topics.reduce((sum, topic) => sum + cluster.findTopicPartitionMetadata(topic).length, 0)
}

async function knows(cluster: Cluster, topic: string): Promise<boolean> {
  try {
    await cluster.addTargetTopic(topic)
    return true
  } catch (error) {
    const type = protocolType(error)
    if (type === 'UNKNOWN_TOPIC_OR_PARTITION') return false
    // Kafka names no topic, and does not say whether it exists.
    if (type === 'TOPIC_AUTHORIZATION_FAILED') {
      const message = `Kafka refused reading topic "${topic}": the user has no permission (an ACL: Read)`
      throw new BrokerError('authorization', message, { retriable: false, cause: error })
    }
    throw error
  }
}

/** Also where a permission is missing: a topic that nobody needs must not keep the others from being read. */
async function mayRead(cluster: Cluster, topic: string): Promise<boolean> {
  try {
    return await knows(cluster, topic)
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'authorization') return false
    throw error
  }
}

async function matching(cluster: Cluster, { patterns }: TopicSelector): Promise<readonly string[]> {
  if (patterns.length === 0) return []
  const { topicMetadata } = await cluster.metadata()
  return topicMetadata
    .map(({ topic }) => topic)
    .filter(topic => !isInternalTopic(topic) && patterns.some(pattern => pattern.matches(topic)))
}
