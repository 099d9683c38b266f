import { BrokerError, type OutgoingRecord } from '../broker.ts'
import { keyPartition } from '../key-partition.ts'
import { recordBytes } from '../record-bytes.ts'
import { assertTopicName } from '../topic-name.ts'
import { MemoryGroup } from './memory-group.ts'
import { PartitionLog, type Retention } from './partition-log.ts'

/** Kafka's default `message.max.bytes`: what fits here fits there. */
const LARGEST_RECORD = 1_048_588

const DEFAULT_RETENTION: Retention = { messages: 100_000, bytes: 64 * 1024 * 1024 }

export interface MemoryClusterOptions {
  /** Partitions of a topic that is made by its first use. */
  readonly partitions: number
  /** Per partition; default: 100,000 messages, 64 MB. */
  readonly retention?: Retention
}

/** Topics and groups kept in this process. Several brokers may share one, as several clients share a Kafka cluster. */
export class MemoryCluster {
  readonly #topics = new Map<string, readonly PartitionLog[]>()
  readonly #groups = new Map<string, MemoryGroup>()
  /** Of readers without a group: gone when they stop. */
  readonly #loneGroups = new Set<MemoryGroup>()
  readonly #partitions: number
  readonly #retention: Retention
  /** Spreads records without a key over the partitions in turn. */
  #turn = 0

  constructor(options: MemoryClusterOptions) {
    this.#partitions = options.partitions
    this.#retention = options.retention ?? DEFAULT_RETENTION
  }

  /** Includes internal topics. */
  get topics(): readonly string[] {
    return [...this.#topics.keys()]
  }

  /** The partitions of a topic; empty where it does not exist. */
  logs(topic: string): readonly PartitionLog[] {
    return this.#topics.get(topic) ?? []
  }

  group(name: string): MemoryGroup {
    let group = this.#groups.get(name)
    if (group === undefined) {
      group = new MemoryGroup(this)
      this.#groups.set(name, group)
    }
    return group
  }

  /** For one member, to be given back with `dropLoneGroup`. */
  loneGroup(): MemoryGroup {
    const group = new MemoryGroup(this)
    this.#loneGroups.add(group)
    return group
  }

  dropLoneGroup(group: MemoryGroup): void {
    this.#loneGroups.delete(group)
  }

  /** Throws BrokerError for a name that cannot be a topic. A topic that exists stays as it is. */
  createTopic(topic: string, partitions: number): readonly PartitionLog[] {
    const existing = this.#topics.get(topic)
    if (existing !== undefined) return existing
    assertTopicName(topic)
    const logs = Array.from({ length: partitions }, (_, partition) => new PartitionLog(topic, partition, this.#retention))
    this.#topics.set(topic, logs)
    for (const group of [...this.#groups.values(), ...this.#loneGroups]) group.topicAppeared(topic)
    return logs
  }

  /** Throws BrokerError where the record cannot be written. */
  append(record: OutgoingRecord): void {
    const bytes = recordBytes(record)
    if (bytes > LARGEST_RECORD)
      throw new BrokerError('record-too-large', `a record of ${bytes} bytes for topic "${record.topic}" is larger than ${LARGEST_RECORD}`, {
        retriable: false,
      })
    const logs = this.createTopic(record.topic, this.#partitions)
    const partition = record.partition ?? (record.key === null ? this.#turn++ % logs.length : keyPartition(record.key, logs.length))
    const log = logs[partition]
    if (log === undefined)
      throw new BrokerError('failed', `topic "${record.topic}" has no partition ${partition}: it has ${logs.length}`, { retriable: false })
    log.append(record)
  }
}
