import type { TopicPartition } from '../brokers/broker.ts'
import { selectsTopic } from '../brokers/topic-name.ts'
import type { SubscriptionPlan } from '../compiler/plan.ts'
import { isRetryTopicOf } from '../compiler/retry-topics.ts'
import type { BrokerAccess } from './broker-access.ts'
import { CommandFailure } from './failure.ts'
import { pastTime } from './past-time.ts'

/** Where a group stands in one partition. */
export interface GroupPosition extends TopicPartition {
  readonly group: string
  /** The next message it takes; null where it has committed nothing. */
  readonly committed: number | null
  /** The first offset that is still there. */
  readonly start: number
  /** The offset after the last message. */
  readonly end: number
  readonly lag: number | null
}

/** In all that exists of what it reads: its topics, and those of the group's own in which messages wait for a retry or a replay. */
export async function groupPositions(
  access: BrokerAccess,
  { group, topics, replayTopic }: SubscriptionPlan,
): Promise<readonly GroupPosition[]> {
  const read = (await access.listTopics())
    .filter(topic => selectsTopic(topics, topic) || topic === replayTopic || isRetryTopicOf(group, topic))
    .toSorted()
  const committed = await access.committedOffsets(group, read)
  const positions: GroupPosition[] = []
  for (const topic of read)
    for (const { partition, low, high } of await access.topicOffsets(topic)) {
      const offset = committed.find(each => each.topic === topic && each.partition === partition)?.offset
      const lag = offset === undefined ? null : Math.max(0, high - Math.max(offset, low))
      positions.push({ group, topic, partition, committed: offset ?? null, start: low, end: high, lag })
    }
  return positions
}

/** What `--to` means for each partition, within what is there. Throws CommandFailure. */
export async function targetOffsets(
  access: BrokerAccess,
  positions: readonly GroupPosition[],
  to: string,
): Promise<readonly { readonly position: GroupPosition; readonly offset: number }[]> {
  const offsetOf = await readTarget(access, positions, to)
  return positions.map(position => ({ position, offset: Math.min(position.end, Math.max(position.start, offsetOf(position))) }))
}

async function readTarget(
  access: BrokerAccess,
  positions: readonly GroupPosition[],
  to: string,
): Promise<(position: GroupPosition) => number> {
  if (to === 'earliest') return ({ start }) => start
  if (to === 'latest') return ({ end }) => end
  if (/^\d+$/.test(to)) {
    if (positions.length > 1) throw new CommandFailure(2, `--to ${to}: one offset is for one partition`, 'add --topic and --partition')
    return () => Number(to)
  }
  const timestamp = pastTime('--to', to)
  const found = new Map<string, number>()
  for (const topic of new Set(positions.map(each => each.topic)))
    for (const { partition, offset } of await access.offsetsSince(topic, timestamp)) found.set(`${topic}/${partition}`, offset)
  return ({ topic, partition, end }) => found.get(`${topic}/${partition}`) ?? end
}
