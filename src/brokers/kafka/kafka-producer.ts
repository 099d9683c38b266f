import { setTimeout as sleep } from 'node:timers/promises'
import type { Message, Producer } from 'kafkajs'
import { BrokerError, type BrokerErrorCode, type OutgoingRecord } from '../broker.ts'
import { keyPartition } from '../key-partition.ts'
import { recordBytes } from '../record-bytes.ts'
import { assertTopicName } from '../topic-name.ts'
import { retryDelay } from './back-off.ts'
import { type KafkaPlace, toBrokerError } from './kafka-error.ts'
import type { KafkaLink } from './kafka-link.ts'

/**
 * A request stays below Kafka's default `message.max.bytes` (1,048,588 a record batch), whatever partitions its records go to.
 * kafkajs groups the records of a partition in quadratic time, which the count keeps harmless.
 */
const BATCH = { bytes: 900_000, records: 1_000 }

/** Waiting records take at most this much memory; more are refused until some have been written. */
const QUEUE_BYTES = 64 * 1024 * 1024

/** A batch that gets no answer is sent again for this long: an election of new leaders fits in, an action's time-out is not used up. */
const RETRY_FOR_MS = 20_000

/** With the link's back-off 2 to 3 s: what a broker may take to create a topic on its first record, where it does that. */
const CREATION_RETRIES = 5

const ALL_REPLICAS = -1

/**
 * kafkajs keeps asking for every topic it was ever given: one that does not exist, or is forbidden, would fail all later requests. And a connection
 * that broke off is of no use.
 */
const SPOILS_CONNECTION: ReadonlySet<BrokerErrorCode> = new Set(['unknown-topic', 'invalid-topic', 'authorization', 'unreachable', 'tls'])

interface Waiting {
  readonly record: OutgoingRecord
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: BrokerError) => void
}

/**
 * Writes records with one request under way at a time: what is sent meanwhile travels together in the next one, and records of a key keep
 * their order, retries included. Not idempotent in Kafka's sense: a request whose answer is lost is sent again and may leave its records
 * twice, which every reader of an at-least-once router has to expect anyway; kafkajs's idempotent producer would stop for good on some errors.
 */
export class KafkaProducer {
  readonly #openLink: () => KafkaLink
  readonly #place: KafkaPlace
  readonly #queue: Waiting[] = []
  #queuedBytes = 0
  #connection: { readonly link: KafkaLink; readonly producer: Producer } | undefined
  #sending: Promise<void> | undefined
  #closed = false

  constructor(openLink: () => KafkaLink, place: KafkaPlace) {
    this.#openLink = openLink
    this.#place = place
  }

  produce(record: OutgoingRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new BrokerError('closed', 'the producer is closed', { retriable: false })
      assertTopicName(record.topic)
      const bytes = recordBytes(record)
      if (this.#queuedBytes + bytes > QUEUE_BYTES && this.#queue.length > 0)
        throw new BrokerError('failed', `${this.#queue.length} records are waiting to be written; no more are taken until some have been`, {
          retriable: true,
        })
      this.#queue.push({ record, bytes, resolve, reject })
      this.#queuedBytes += bytes
      this.#sending ??= this.#drain()
    })
  }

  /** Writes what is waiting, then closes the connection. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#sending
    this.#disconnect()
  }

  async #drain(): Promise<void> {
    // Records of one turn of the event loop travel together.
    await new Promise(resolve => setImmediate(resolve))
    while (this.#queue.length > 0) await this.#send(this.#nextBatch())
    this.#sending = undefined
  }

  #nextBatch(): readonly Waiting[] {
    let bytes = 0
    let count = 0
    for (const waiting of this.#queue) {
      bytes += waiting.bytes
      if (count > 0 && (bytes > BATCH.bytes || count === BATCH.records)) break
      count++
    }
    const batch = this.#queue.splice(0, count)
    for (const waiting of batch) this.#queuedBytes -= waiting.bytes
    return batch
  }

  /** Writes a batch; where Kafka refuses it for good, its parts, so that only the records at fault are refused. */
  async #send(batch: readonly Waiting[]): Promise<void> {
    const failure = await this.#trySend(batch)
    if (failure === undefined) {
      for (const waiting of batch) waiting.resolve()
      return
    }
    const parts = failure.retriable ? [] : split(batch, failure)
    if (parts.length === 0) for (const waiting of batch) waiting.reject(failure)
    for (const part of parts) await this.#send(part)
  }

  async #trySend(batch: readonly Waiting[]): Promise<BrokerError | undefined> {
    const deadline = Date.now() + RETRY_FOR_MS
    for (let failures = 0; ; failures++) {
      try {
        const producer = await this.#connect()
        await producer.sendBatch({ acks: ALL_REPLICAS, topicMessages: topicMessages(batch) })
        return undefined
      } catch (error) {
        const failure = toBrokerError(error, writing(batch), this.#place)
        if (SPOILS_CONNECTION.has(failure.code)) this.#disconnect()
        if (!failure.retriable || this.#closed || Date.now() > deadline) return failure
        await sleep(retryDelay(failures))
      }
    }
  }

  async #connect(): Promise<Producer> {
    if (this.#connection !== undefined) return this.#connection.producer
    const link = this.#openLink()
    const producer = link.kafka.producer({
      createPartitioner: () => partition,
      maxInFlightRequests: 1,
      retry: { retries: CREATION_RETRIES },
    })
    try {
      await producer.connect()
    } catch (error) {
      link.close()
      throw error
    }
    this.#connection = { link, producer }
    return producer
  }

  #disconnect(): void {
    this.#connection?.link.close()
    this.#connection = undefined
  }
}

/** What holds for every record of a topic: smaller parts would fare no better. */
const OF_THE_TOPIC: ReadonlySet<BrokerErrorCode> = new Set(['unknown-topic', 'invalid-topic', 'authorization', 'authentication', 'tls'])

/** By topic first: what Kafka holds against a topic holds for all its records. Then in halves. */
function split(batch: readonly Waiting[], failure: BrokerError): readonly (readonly Waiting[])[] {
  if (batch.length === 1) return []
  const topics = [...new Set(batch.map(({ record }) => record.topic))]
  if (topics.length > 1) return topics.map(topic => batch.filter(({ record }) => record.topic === topic))
  if (OF_THE_TOPIC.has(failure.code)) return []
  const middle = Math.ceil(batch.length / 2)
  return [batch.slice(0, middle), batch.slice(middle)]
}

function topicMessages(batch: readonly Waiting[]): { topic: string; messages: Message[] }[] {
  const byTopic = new Map<string, Message[]>()
  for (const { record } of batch) {
    const messages = byTopic.get(record.topic) ?? []
    messages.push(toMessage(record))
    byTopic.set(record.topic, messages)
  }
  return [...byTopic].map(([topic, messages]) => ({ topic, messages }))
}

function toMessage({ key, value, headers, partition: chosen, timestamp }: OutgoingRecord): Message {
  const copies: Record<string, Buffer | Buffer[]> = {}
  for (const name of Object.keys(headers)) {
    const header = headers[name]
    if (header !== undefined) copies[name] = Buffer.isBuffer(header) ? header : [...header]
  }
  return {
    key,
    value,
    headers: copies,
    ...(chosen === undefined ? {} : { partition: chosen }),
    timestamp: String(timestamp ?? Date.now()),
  }
}

/** Spreads records without a key over the partitions in turn. */
let turn = 0

function partition({
  topic,
  partitionMetadata,
  message,
}: {
  readonly topic: string
  readonly partitionMetadata: readonly { readonly partitionId: number }[]
  readonly message: Message
}): number {
  const count = partitionMetadata.length
  if (message.partition !== undefined) {
    if (message.partition < count && message.partition >= 0) return message.partition
    throw new BrokerError('failed', `topic "${topic}" has no partition ${message.partition}: it has ${count}`, { retriable: false })
  }
  if (Buffer.isBuffer(message.key)) return keyPartition(message.key, count)
  return turn++ % count
}

function writing(batch: readonly Waiting[]): string {
  const topics = [...new Set(batch.map(({ record }) => record.topic))]
  const [first] = topics
  return topics.length === 1 ? `writing to topic "${first}"` : `writing to ${topics.length} topics`
}
