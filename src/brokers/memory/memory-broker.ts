import type { MemoryBrokerConfig } from '../../config/router-config.ts'
import {
  type Broker,
  BrokerError,
  type ConsumeOptions,
  type Consumer,
  groupActive,
  type NewTopic,
  type OutgoingRecord,
  type RecordSink,
  type TopicPartitionOffset,
} from '../broker.ts'
import { assertTopicName, isInternalTopic } from '../topic-name.ts'
import { MemoryCluster } from './memory-cluster.ts'
import type { MemoryGroup } from './memory-group.ts'
import { MemoryMember } from './memory-member.ts'

/** The embedded broker of `router dev`. Without `cluster` it has one of its own. */
export class MemoryBroker implements Broker {
  readonly name: string
  readonly #cluster: MemoryCluster
  readonly #members = new Set<MemoryMember>()
  #closed = false
  /** Until then the receivers of stopping consumers may still write. */
  #drained = false

  constructor(name: string, config: MemoryBrokerConfig, cluster: MemoryCluster = new MemoryCluster({ partitions: config.partitions })) {
    this.name = name
    this.#cluster = cluster
  }

  async connect(): Promise<void> {
    this.#assertOpen()
  }

  async consume(options: ConsumeOptions, sink: RecordSink): Promise<Consumer> {
    this.#assertOpen()
    const group = options.group === undefined ? this.#loneGroup(options) : this.#cluster.group(options.group)
    const member: MemoryMember = new MemoryMember(group, options, sink, () => {
      this.#members.delete(member)
      this.#cluster.dropLoneGroup(group)
    })
    this.#members.add(member)
    return member
  }

  async produce(record: OutgoingRecord): Promise<void> {
    if (this.#drained) this.#assertOpen()
    this.#cluster.append(record)
  }

  async listTopics(): Promise<readonly string[]> {
    this.#assertOpen()
    return this.#cluster.topics.filter(topic => !isInternalTopic(topic))
  }

  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    this.#assertOpen()
    for (const { topic, partitions } of topics) this.#cluster.createTopic(topic, partitions)
  }

  async assertCreatable(topics: readonly NewTopic[]): Promise<void> {
    this.#assertOpen()
    for (const { topic } of topics) assertTopicName(topic)
  }

  async topicOffsets(topic: string): Promise<readonly { readonly partition: number; readonly low: number; readonly high: number }[]> {
    this.#assertOpen()
    return this.#cluster.logs(topic).map(({ partition, low, high }) => ({ partition, low, high }))
  }

  async offsetsSince(topic: string, timestamp: number): Promise<readonly { readonly partition: number; readonly offset: number }[]> {
    this.#assertOpen()
    return this.#cluster.logs(topic).map(log => ({ partition: log.partition, offset: log.offsetAt(timestamp) }))
  }

  async committedOffsets(group: string, topics: readonly string[]): Promise<readonly TopicPartitionOffset[]> {
    this.#assertOpen()
    return this.#cluster.group(group).committedOffsets(topics)
  }

  async setOffsets(group: string, offsets: readonly TopicPartitionOffset[]): Promise<void> {
    this.#assertOpen()
    const known = this.#cluster.group(group)
    if (known.isActive) throw groupActive(group)
    for (const offset of offsets) known.commit(offset)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#members].map(member => member.stop()))
    this.#drained = true
  }

  #loneGroup({ startAt = [] }: ConsumeOptions): MemoryGroup {
    const group = this.#cluster.loneGroup()
    for (const offset of startAt) group.commit(offset)
    return group
  }

  #assertOpen(): void {
    if (this.#closed) throw new BrokerError('closed', `broker "${this.name}" is closed`, { retriable: false })
  }
}
