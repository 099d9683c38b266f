import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Creates topics through an admin of kafkajs and waits until every partition has a leader. kafkajs's own wait ends with an error where a broker does not
 * know of a topic yet.
 */
export async function createTopics(admin, topics) {
  await admin.createTopics({ topics, waitForLeaders: false })
  const endsAt = performance.now() + 60_000
  for (;;) {
    const { topics: known } = await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) }).catch(() => ({ topics: [] }))
    if (known.length === topics.length && known.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0))) return
    if (performance.now() > endsAt) throw new Error(`topics without leaders: ${topics.map(({ topic }) => topic).join(', ')}`)
    await sleep(50)
  }
}
