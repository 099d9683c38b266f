import { keyOf } from './by-topic.ts'
import type { KafkaLink } from './kafka-link.ts'
import { NodeConnection } from './node-connection.ts'
import type { PartitionQueue, Waiting } from './partition-queue.ts'
import { produceBroker } from './produce-request.ts'
import { encodeRecordBatch } from './record-batch-writer.ts'

/** A request stays below Kafka's default `message.max.bytes` (1,048,588 a record batch), whatever partitions its records go to. */
const REQUEST = { bytes: 900_000, records: 1_000 }

const ALL_REPLICAS = -1

/** What the leader of a partition may wait for its replicas, in ms. */
const REPLICAS_TIMEOUT_MS = 30_000

/** Records of one partition, in order. */
export interface PartitionPart {
  readonly queue: PartitionQueue
  readonly items: readonly Waiting[]
}

/** Why they were not written; undefined: they were. */
export interface WrittenPart extends PartitionPart {
  readonly error: unknown
}

/** A broker, and the partitions it leads whose records wait for its next request. */
export class PartitionLeader {
  readonly ready = new Set<PartitionQueue>()
  isSending = false
  readonly #connection: NodeConnection
  #address: string

  constructor(address: string, openLink: (address: string) => KafkaLink) {
    this.#address = address
    this.#connection = new NodeConnection(() => openLink(this.#address))
  }

  moveTo(address: string): void {
    if (address === this.#address) return
    this.#address = address
    this.#connection.close()
  }

  /** For one request, in turn: a partition that has more waits until the others were asked. */
  take(): readonly PartitionPart[] {
    const room = { ...REQUEST }
    const parts: PartitionPart[] = []
    for (const queue of this.ready) {
      const items = queue.take(room, parts.length === 0)
      if (items.length === 0) break
      this.ready.delete(queue)
      parts.push({ queue, items })
    }
    return parts
  }

  /** Never rejects. */
  async write(parts: readonly PartitionPart[]): Promise<readonly WrittenPart[]> {
    const now = Date.now()
    try {
      const broker = produceBroker(await this.#connection.broker())
      const topicData = parts.map(({ queue: { topic, partition }, items }) => ({
        topic,
        partition,
        batch: encodeRecordBatch(
          items.map(({ record }) => record),
          now,
        ),
      }))
      const results = await broker.produce({ acks: ALL_REPLICAS, timeout: REPLICAS_TIMEOUT_MS, topicData })
      const errors = new Map(results.map(result => [keyOf(result), result.error]))
      return parts.map(part => {
        const key = keyOf(part.queue)
        return { ...part, error: errors.has(key) ? errors.get(key) : new Error(`the broker said nothing of ${key}`) }
      })
    } catch (error) {
      this.#connection.close()
      return parts.map(part => ({ ...part, error }))
    }
  }

  close(): void {
    this.#connection.close()
  }
}
