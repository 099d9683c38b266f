import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from 'kafkajs'
import { BrokerError, type BrokerErrorCode, type OutgoingRecord } from '../broker.ts'
import { recordBytes } from '../record-bytes.ts'
import { assertTopicName } from '../topic-name.ts'
import { retryDelay } from './back-off.ts'
import { type KafkaPlace, toBrokerError } from './kafka-error.ts'
import { clusterOf, type KafkaLink } from './kafka-link.ts'
import { type WrittenPart, writeRecords } from './write-records.ts'

/** A request stays below Kafka's default `message.max.bytes` (1,048,588 a record batch), whatever partitions its records go to. */
const BATCH = { bytes: 900_000, records: 1_000 }

/** Waiting records take at most this much memory; more are refused until some have been written. */
const QUEUE_BYTES = 64 * 1024 * 1024

/** A batch that gets no answer is sent again for this long: an election of new leaders fits in, an action's time-out is not used up. */
const RETRY_FOR_MS = 20_000

/** 2 to 3 s: what a broker may take to create a topic on its first record, where it does that. */
const CREATION_RETRIES = 5

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

interface Refused {
  readonly items: readonly Waiting[]
  readonly failure: BrokerError
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
  #connection: { readonly link: KafkaLink; readonly cluster: Cluster } | undefined
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

  /** Writes a batch; where Kafka refuses records for good, their parts, so that only those at fault are refused. */
  async #send(batch: readonly Waiting[]): Promise<void> {
    for (const { items, failure } of await this.#trySend(batch)) {
      const parts = failure.retriable ? [] : split(items, failure)
      if (parts.length === 0) for (const waiting of items) waiting.reject(failure)
      for (const part of parts) await this.#send(part)
    }
  }

  /** Writes what can be written; answers with the rest. */
  async #trySend(batch: readonly Waiting[]): Promise<readonly Refused[]> {
    const deadline = Date.now() + RETRY_FOR_MS
    const refused: Refused[] = []
    let left = batch
    for (let failures = 0; ; failures++) {
      const again: Waiting[] = []
      for (const { items, error } of await this.#write(left, failures > 0)) {
        if (error === undefined) {
          for (const waiting of items) waiting.resolve()
          continue
        }
        const failure = toBrokerError(error, writing(items), this.#place)
        if (SPOILS_CONNECTION.has(failure.code)) this.#disconnect()
        const mayCome = failure.retriable || (failure.code === 'unknown-topic' && failures < CREATION_RETRIES)
        if (mayCome && !this.#closed && Date.now() <= deadline) again.push(...items)
        else refused.push({ items, failure })
      }
      if (again.length === 0) return refused
      left = again
      await sleep(retryDelay(failures))
    }
  }

  /** `isAgain`: what is known of the partitions' leaders may be out of date. */
  async #write(batch: readonly Waiting[], isAgain: boolean): Promise<readonly WrittenPart<Waiting>[]> {
    try {
      const isOpen = this.#connection !== undefined
      const cluster = await this.#connect()
      if (isAgain && isOpen) await cluster.refreshMetadata()
      return await writeRecords(cluster, batch)
    } catch (error) {
      return [{ items: batch, error }]
    }
  }

  async #connect(): Promise<Cluster> {
    if (this.#connection !== undefined) return this.#connection.cluster
    const link = this.#openLink()
    const cluster = clusterOf(link, { readUncommitted: false, createsTopics: true })
    try {
      await cluster.connect()
    } catch (error) {
      link.close()
      throw error
    }
    this.#connection = { link, cluster }
    return cluster
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

function writing(batch: readonly Waiting[]): string {
  const topics = [...new Set(batch.map(({ record }) => record.topic))]
  const [first] = topics
  return topics.length === 1 ? `writing to topic "${first}"` : `writing to ${topics.length} topics`
}
