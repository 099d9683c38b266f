import type { Admin } from 'kafkajs'
import type { KafkaBrokerConfig } from '../../config/router-config.ts'
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
import type { BrokerOptions } from '../registry.ts'
import { assertTopicName, isInternalTopic } from '../topic-name.ts'
import { GroupMembership } from './group-membership.ts'
import { KafkaConnection } from './kafka-connection.ts'
import { KafkaConsumer } from './kafka-consumer.ts'
import { protocolType, toBrokerError } from './kafka-error.ts'
import { type KafkaLink, openLink } from './kafka-link.ts'
import { KafkaProducer } from './kafka-producer.ts'
import { consumerSettings } from './kafka-settings.ts'
import { untilLed } from './until-led.ts'

/** New topics that match a pattern are picked up within a minute. */
const TOPIC_REFRESH_MS = 30_000

/** Apache Kafka, through kafkajs. */
export class KafkaBroker implements Broker {
  readonly name: string
  readonly #config: KafkaBrokerConfig
  readonly #options: BrokerOptions
  readonly #producer: KafkaProducer
  readonly #consumers = new Set<KafkaConsumer>()
  #closing: Promise<void> | undefined

  constructor(name: string, config: KafkaBrokerConfig, options: BrokerOptions) {
    this.name = name
    this.#config = config
    this.#options = options
    this.#producer = new KafkaProducer(brokers => this.#openLink(brokers), config)
  }

  async connect(): Promise<void> {
    await this.#ask('connecting', admin => admin.describeCluster())
  }

  async consume(options: ConsumeOptions, sink: RecordSink): Promise<Consumer> {
    this.#assertOpen()
    for (const topic of options.topics.names) assertTopicName(topic)
    const consumer: KafkaConsumer = new KafkaConsumer({
      consume: options,
      sink,
      settings: consumerSettings(this.#config.consumer, options.maxWaitMs),
      place: this.#config,
      openLink: () => this.#openLink(),
      topicRefreshMs: this.#options.topicRefreshMs ?? TOPIC_REFRESH_MS,
      onStopped: () => this.#consumers.delete(consumer),
    })
    this.#consumers.add(consumer)
    return consumer
  }

  produce(record: OutgoingRecord): Promise<void> {
    return this.#producer.produce(record)
  }

  async listTopics(): Promise<readonly string[]> {
    const topics = await this.#ask('listing topics', admin => admin.listTopics())
    return topics.filter(topic => !isInternalTopic(topic))
  }

  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    await this.#create(topics, false)
  }

  async assertCreatable(topics: readonly NewTopic[]): Promise<void> {
    await this.#create(topics, true)
  }

  async #create(topics: readonly NewTopic[], validateOnly: boolean): Promise<void> {
    for (const { topic } of topics) assertTopicName(topic)
    await this.#ask('creating topics', async admin => {
      const existing = new Set(await admin.listTopics())
      const missing = topics.filter(({ topic }) => !existing.has(topic))
      if (missing.length === 0) return
      // Resolves to false where somebody else was faster.
      await admin.createTopics({
        validateOnly,
        waitForLeaders: false,
        topics: missing.map(({ topic, partitions }) => ({ topic, numPartitions: partitions })),
      })
      if (!validateOnly)
        await untilLed(
          admin,
          missing.map(({ topic }) => topic),
        )
    })
  }

  async topicOffsets(topic: string): Promise<readonly { readonly partition: number; readonly low: number; readonly high: number }[]> {
    const offsets = await this.#ask(`reading the offsets of topic "${topic}"`, admin =>
      admin.fetchTopicOffsets(topic).catch(error => {
        if (protocolType(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return []
        throw error
      }),
    )
    return offsets
      .map(({ partition, low, high }) => ({ partition, low: Number(low), high: Number(high) }))
      .sort((a, b) => a.partition - b.partition)
  }

  async offsetsSince(topic: string, timestamp: number): Promise<readonly { readonly partition: number; readonly offset: number }[]> {
    const offsets = await this.#ask(`looking for a time in topic "${topic}"`, admin => admin.fetchTopicOffsetsByTimestamp(topic, timestamp))
    return offsets.map(({ partition, offset }) => ({ partition, offset: Number(offset) })).sort((a, b) => a.partition - b.partition)
  }

  async committedOffsets(group: string, topics: readonly string[]): Promise<readonly TopicPartitionOffset[]> {
    const offsets = await this.#ask(`reading the offsets of group "${group}"`, async admin => {
      const existing = new Set(await admin.listTopics())
      return admin.fetchOffsets({ groupId: group, topics: topics.filter(topic => existing.has(topic)) })
    })
    return offsets
      .filter(({ topic }) => topics.includes(topic))
      .flatMap(({ topic, partitions }) => partitions.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })))
      .filter(({ offset }) => offset >= 0)
  }

  async setOffsets(group: string, offsets: readonly TopicPartitionOffset[]): Promise<void> {
    this.#assertOpen()
    const connection = new KafkaConnection(() => this.#openLink(), false)
    try {
      const membership = new GroupMembership(group, consumerSettings(this.#config.consumer, undefined))
      membership.use(connection)
      if (!(await membership.commitFromOutside(offsets))) throw groupActive(group)
    } catch (error) {
      throw toBrokerError(error, `setting the offsets of group "${group}"`, this.#config)
    } finally {
      connection.close()
    }
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  /** The producer last: while consumers drain, the receiver may still write. */
  async #close(): Promise<void> {
    const consumers = [...this.#consumers]
    await Promise.all(consumers.map(consumer => consumer.stop()))
    await this.#producer.close()
  }

  /** Each on a connection of its own: kafkajs's admin keeps asking for every topic it was ever given, and fails when one is deleted. */
  async #ask<T>(doing: string, ask: (admin: Admin) => Promise<T>): Promise<T> {
    this.#assertOpen()
    const link = this.#openLink()
    try {
      const admin = link.kafka.admin()
      await admin.connect()
      return await ask(admin)
    } catch (error) {
      throw toBrokerError(error, doing, this.#config)
    } finally {
      link.close()
    }
  }

  #openLink(brokers = this.#config.brokers): KafkaLink {
    return openLink({
      brokers,
      clientId: this.#config.consumer['client.id'] ?? this.#options.clientId,
      log: this.#options.log,
      ssl: this.#config.ssl,
      sasl: this.#config.sasl,
    })
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new BrokerError('closed', `broker "${this.name}" is closed`, { retriable: false })
  }
}
