import { BrokerError, type TopicPartition, type TopicPartitionOffset } from '../broker.ts'
import { keyOf } from './by-topic.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import type { HeartbeatAnswer, Membership } from './membership.ts'

/** A reader without a group: it has every partition, and its offsets live as long as it does. Kafka knows nothing of it. */
export class LoneMembership implements Membership {
  readonly doing = 'reading without a group'
  readonly leads = true
  readonly hasCompany = false
  readonly term = { memberId: '', generation: -1 }
  readonly #offsets = new Map<string, number>()
  #connection: KafkaConnection | undefined

  /** `startAt`: as if it had committed these before. */
  constructor(startAt: readonly TopicPartitionOffset[]) {
    for (const { topic, partition, offset } of startAt) this.#offsets.set(keyOf({ topic, partition }), offset)
  }

  use(connection: KafkaConnection): void {
    this.#connection = connection
  }

  async join(topics: readonly string[]): Promise<readonly TopicPartition[]> {
    const cluster = await this.#ready().ready()
    return topics.flatMap(topic => cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })))
  }

  /** Whether the broker still answers: nobody can take the partitions away. */
  async heartbeat(): Promise<HeartbeatAnswer> {
    const connection = this.#ready()
    const cluster = await connection.ready()
    try {
      await cluster.refreshMetadata()
      return 'ok'
    } catch (error) {
      connection.failed(cluster, error)
      throw error
    }
  }

  async commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    for (const offset of offsets) this.#offsets.set(keyOf(offset), offset.offset)
  }

  async commitFromOutside(offsets: readonly TopicPartitionOffset[]): Promise<boolean> {
    await this.commit(offsets)
    return true
  }

  async committed(partitions: readonly TopicPartition[]): Promise<readonly TopicPartitionOffset[]> {
    return partitions.flatMap(({ topic, partition }) => {
      const offset = this.#offsets.get(keyOf({ topic, partition }))
      return offset === undefined ? [] : [{ topic, partition, offset }]
    })
  }

  async leave(): Promise<void> {}

  forget(): void {}

  #ready(): KafkaConnection {
    if (this.#connection === undefined) throw new BrokerError('closed', 'the consumer has no connection yet', { retriable: true })
    return this.#connection
  }
}
