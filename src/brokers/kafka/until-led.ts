import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { protocolType } from './kafka-error.ts'

const askEveryMs = 50
const longestWaitMs = 10_000

/** What brokers say of topics that not all of them know yet. */
const notYet: ReadonlySet<string | undefined> = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE'])

/**
 * Waits until every partition of new topics has a leader, for a while: then whoever uses them waits. kafkajs's own wait ends with an error where a broker
 * does not know of a topic yet.
 */
export async function untilLed(admin: Admin, topics: readonly string[]): Promise<void> {
  for (const endsAt = performance.now() + longestWaitMs; performance.now() < endsAt; await sleep(askEveryMs)) {
    try {
      const { topics: known } = await admin.fetchTopicMetadata({ topics: [...topics] })
      if (known.length === topics.length && known.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0))) return
    } catch (error) {
      if (!notYet.has(protocolType(error))) throw error
    }
  }
}
