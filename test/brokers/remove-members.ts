import type { Cluster, Kafka } from 'kafkajs'
import { findCoordinator } from '../../src/brokers/kafka/group-broker.ts'

/** Throws every member out of a group, as the coordinator does when a session times out. */
export async function removeMembers(kafka: Kafka, group: string): Promise<void> {
  const clusters: Cluster[] = []
  const consumer = kafka.consumer({
    groupId: group,
    partitionAssigners: [
      ({ cluster }) => {
        clusters.push(cluster)
        return { name: 'none', version: 0, assign: async () => [], protocol: () => ({ name: 'none', metadata: Buffer.alloc(0) }) }
      },
    ],
  })
  await consumer.connect()
  const { members } = await consumer.describeGroup()
  for (const cluster of clusters) {
    const coordinator = await findCoordinator(cluster, group)
    for (const { memberId } of members) await coordinator.leaveGroup({ groupId: group, memberId })
  }
  await consumer.disconnect()
}
