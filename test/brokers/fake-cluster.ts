import { createRequire } from 'node:module'
import { setImmediate } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import type { KafkaLink } from '../../src/brokers/kafka/kafka-link.ts'
import { readBatches } from './record-batches.ts'

const load = createRequire(import.meta.url)
const KafkajsBroker = load('kafkajs/src/broker')
const Decoder = load('kafkajs/src/protocol/decoder')

const [METADATA, PRODUCE] = [3, 0]
const [NOT_LEADER, UNKNOWN_TOPIC, LEADER_NOT_AVAILABLE, INVALID_RECORD] = [6, 3, 5, 87]

interface Sent {
  readonly request: { readonly apiKey: number; encode(): Promise<{ readonly buffer: Buffer }> }
  readonly response: { parse(decoded: unknown): Promise<unknown> }
}

/**
 * Brokers 1 and 2 as the producer sees them, behind kafkajs's own broker: what no single Kafka does on demand. `topics` has the leader of each
 * partition, undefined where there is none.
 */
export class FakeCluster {
  readonly topics: Record<string, readonly (number | undefined)[]>
  /** By `topic/partition`: the error's number. */
  readonly refusals = new Map<string, number>()
  /** A batch with a record of this value is refused for good. */
  poison: string | undefined
  /** To write, of all brokers. */
  requests = 0
  /** The topics of each question. */
  readonly asked: string[][] = []
  openLinks = 0
  readonly #written = new Map<string, string[]>()
  readonly #held = new Map<number, Promise<void>>()

  constructor(topics: Record<string, readonly (number | undefined)[]>) {
    this.topics = topics
  }

  values(topic: string, partition: number): readonly string[] {
    return this.#written.get(`${topic}/${partition}`) ?? []
  }

  /** That broker answers no more until the result is called. */
  hold(nodeId: number): () => void {
    let release: () => void = () => {}
    const answered = new Promise<void>(resolve => (release = resolve))
    this.#held.set(nodeId, answered)
    return () => {
      this.#held.delete(nodeId)
      release()
    }
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await setImmediate()
  }

  /** To the broker at that address, or to any. */
  link(address = 'node:1'): KafkaLink {
    this.openLinks++
    const nodeId = Number(address.split(':')[1])
    const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
    const connectionPool = { isConnected: () => true, send: (sent: Sent) => this.#answer(nodeId, sent) }
    const broker = new KafkajsBroker({ connectionPool, logger: { namespace: () => ({}) } })
    broker.lookupRequest = (key: number, { protocol }: { protocol(options: { version: number }): unknown }) =>
      protocol({ version: key === METADATA ? 6 : 7 })
    const cluster = { connect: async () => {}, brokerPool: { seedBroker: broker } }
    const consumer: unknown = ({ partitionAssigners: [assigner] }: { partitionAssigners: ((given: unknown) => unknown)[] }) =>
      assigner?.({ cluster })
    return { kafka: Object.assign(kafka, { consumer }), close: () => void this.openLinks-- }
  }

  async #answer(nodeId: number, { request, response }: Sent): Promise<unknown> {
    const bytes = new Decoder((await request.encode()).buffer)
    if (request.apiKey === METADATA) return response.parse(this.#metadata(bytes.readArray(() => bytes.readString())))
    if (request.apiKey !== PRODUCE) throw new Error(`nobody answers request ${request.apiKey}`)
    this.requests++
    await this.#held.get(nodeId)
    bytes.readString()
    bytes.readInt16()
    bytes.readInt32()
    const topics = bytes.readArray(() => {
      const topicName: string = bytes.readString()
      return { topicName, partitions: bytes.readArray(() => this.#write(nodeId, topicName, bytes.readInt32(), bytes.readBytes())) }
    })
    return response.parse({ topics })
  }

  #metadata(names: string[]): unknown {
    this.asked.push(names.toSorted())
    const topicMetadata = names.map(topic => {
      const leaders = this.topics[topic]
      const partitionMetadata = (leaders ?? []).map((leader, partitionId) => ({
        partitionErrorCode: leader === undefined ? LEADER_NOT_AVAILABLE : 0,
        partitionId,
        leader: leader ?? -1,
      }))
      return { topic, topicErrorCode: leaders === undefined ? UNKNOWN_TOPIC : 0, partitionMetadata }
    })
    return { brokers: [1, 2].map(nodeId => ({ nodeId, host: 'node', port: nodeId })), topicMetadata }
  }

  #write(nodeId: number, topic: string, partition: number, batch: Buffer): { partition: number; errorCode: number } {
    const values = readBatches(batch, topic, partition).map(({ value }) => String(value))
    const errorCode = this.#verdict(nodeId, topic, partition, values)
    const key = `${topic}/${partition}`
    if (errorCode === 0) this.#written.set(key, [...this.values(topic, partition), ...values])
    return { partition, errorCode }
  }

  #verdict(nodeId: number, topic: string, partition: number, values: readonly string[]): number {
    if (this.topics[topic]?.[partition] !== nodeId) return NOT_LEADER
    if (this.poison !== undefined && values.includes(this.poison)) return INVALID_RECORD
    return this.refusals.get(`${topic}/${partition}`) ?? 0
  }
}
