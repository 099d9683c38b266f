import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from 'kafkajs'
import type { RecordSink, TopicPartition, TopicPartitionOffset } from '../broker.ts'
import { retryDelay } from './back-off.ts'
import { byTopic, keyOf } from './by-topic.ts'
import { type FetchedRecords, readPartition, type WirePartition } from './fetched-records.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { protocolType } from './kafka-error.ts'
import type { ConsumerSettings } from './kafka-settings.ts'
import { listOffsets } from './start-offsets.ts'

/** Longest wait of a fetch that leaves out a paused partition, in ms: after a resume the partition waits for that fetch to end. */
const WAIT_WHILE_PAUSED_MS = 25

/** The leader changed, or the topic is about to go: the metadata say more. */
const STALE_METADATA: ReadonlySet<string> = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
])

interface Reader extends TopicPartition {
  /** The next offset to fetch. */
  position: number
  paused: boolean
  /** Fetched while paused: delivered at once on resume, and not fetched further until then. */
  reserve: FetchedRecords | undefined
}

export interface FetcherOptions {
  readonly connection: KafkaConnection
  /** As `connection` has it now. */
  readonly cluster: Cluster
  readonly settings: ConsumerSettings
  readonly positions: readonly TopicPartitionOffset[]
  readonly sink: RecordSink
  /** A fetch failed; it is tried again in `retryInMs`. */
  readonly onFailure: (error: unknown, retryInMs: number) => void
  readonly onSuccess: () => void
}

interface FetchResponse {
  readonly responses: readonly { readonly topicName: string; readonly partitions: readonly WirePartition[] }[]
}

/** Fetches the partitions of one assignment, one request at a time to each broker that leads some of them, until stopped. */
export class PartitionFetcher {
  readonly #options: FetcherOptions
  readonly #readers: ReadonlyMap<string, Reader>
  readonly #loops = new Set<string>()
  /** Who leads what, by broker id; as of the last look at the metadata. */
  #led: ReadonlyMap<string, readonly Reader[]> = new Map()
  readonly #stopping = new AbortController()
  #cluster: Cluster
  #reserved = 0
  #flushing = false
  #sleepers: (() => void)[] = []

  constructor(options: FetcherOptions) {
    this.#options = options
    this.#cluster = options.cluster
    this.#readers = new Map(
      options.positions.map(({ topic, partition, offset }) => [
        keyOf({ topic, partition }),
        { topic, partition, position: offset, paused: false, reserve: undefined },
      ]),
    )
  }

  /** Also after the metadata have changed: starts what is missing. */
  start(): void {
    this.#led = this.#byLeader()
    for (const leader of this.#led.keys()) {
      if (this.#loops.has(leader)) continue
      this.#loops.add(leader)
      void this.#loop(leader)
    }
  }

  /** Nothing is delivered after this. */
  stop(): void {
    this.#stopping.abort()
    this.#wakeUp()
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const reader of this.#find(partitions)) reader.paused = true
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const reader of this.#find(partitions)) reader.paused = false
    if (this.#flushing) return
    this.#flushing = true
    // Not at once: the receiver may be in the middle of something.
    setImmediate(() => {
      this.#flushing = false
      this.#deliverReserves()
      this.#wakeUp()
    })
  }

  async #loop(leader: string): Promise<void> {
    let failures = 0
    while (!this.#stopping.signal.aborted) {
      const readers = this.#led.get(leader) ?? []
      if (readers.length === 0) break
      const due = readers.filter(reader => reader.reserve === undefined && !(reader.paused && this.#reserveIsFull()))
      if (due.length === 0) {
        await new Promise<void>(wake => this.#sleepers.push(wake))
        continue
      }
      const cluster = this.#cluster
      try {
        const response = await this.#fetch(cluster, leader, due, due.length < readers.length)
        if (this.#stopping.signal.aborted) break
        this.#take(response)
        failures = 0
        this.#options.onSuccess()
      } catch (error) {
        if (this.#stopping.signal.aborted) break
        this.#options.connection.failed(cluster, error)
        await this.#recover(error, failures++)
      }
    }
    this.#loops.delete(leader)
  }

  async #fetch(cluster: Cluster, leader: string, due: readonly Reader[], somePaused: boolean): Promise<FetchResponse> {
    const { settings } = this.#options
    const broker = await cluster.findBroker({ nodeId: leader })
    return broker.fetch({
      maxWaitTime: somePaused ? Math.min(settings.maxWaitMs, WAIT_WHILE_PAUSED_MS) : settings.maxWaitMs,
      minBytes: settings.minBytes,
      maxBytes: settings.maxBytes,
      // The protocol's numbers: 0 uncommitted, 1 committed.
      isolationLevel: settings.readUncommitted ? 0 : 1,
      topics: [...byTopic(due)].map(([topic, readers]) => ({
        topic,
        partitions: readers.map(({ partition, position }) => ({
          partition,
          fetchOffset: String(position),
          maxBytes: settings.maxBytesPerPartition,
        })),
      })),
    })
  }

  #take({ responses }: FetchResponse): void {
    for (const { topicName, partitions } of responses) {
      for (const partition of partitions) {
        const reader = this.#readers.get(keyOf({ topic: topicName, partition: partition.partition }))
        if (reader === undefined) continue
        const fetched = readPartition(topicName, reader.position, partition)
        if (fetched.nextOffset === reader.position) continue
        if (reader.paused) this.#keep(reader, fetched)
        else this.#deliver(reader, fetched)
      }
    }
  }

  #keep(reader: Reader, fetched: FetchedRecords): void {
    reader.reserve = fetched
    this.#reserved += fetched.bytes
  }

  #deliverReserves(): void {
    for (const reader of this.#readers.values()) {
      const { reserve } = reader
      if (reserve === undefined || reader.paused || this.#stopping.signal.aborted) continue
      reader.reserve = undefined
      this.#reserved -= reserve.bytes
      try {
        this.#deliver(reader, reserve)
      } catch (error) {
        // Not taken: it is fetched again.
        this.#options.onFailure(error, 0)
      }
    }
  }

  #deliver(reader: Reader, { records, nextOffset, highWatermark }: FetchedRecords): void {
    this.#options.sink.records(reader.topic, reader.partition, records, nextOffset, highWatermark)
    reader.position = nextOffset
  }

  async #recover(error: unknown, failures: number): Promise<void> {
    if (await this.#resetOutOfRange(error)) return
    const retryInMs = retryDelay(failures)
    const expected = STALE_METADATA.has(protocolType(error) ?? '')
    if (!expected) this.#options.onFailure(error, retryInMs)
    try {
      await sleep(retryInMs, undefined, { signal: this.#stopping.signal })
      const cluster = await this.#options.connection.ready()
      await cluster.refreshMetadata()
      if (this.#stopping.signal.aborted) return
      this.#cluster = cluster
      this.start()
    } catch {
      // Stopped, or still unreachable: the loop ends or comes back here.
    }
  }

  /** True where the error was an offset the broker no longer has, and the partition now stands at the earliest it has. */
  async #resetOutOfRange(error: unknown): Promise<boolean> {
    const place = outOfRange(error)
    const reader = place === undefined ? undefined : this.#readers.get(keyOf(place))
    if (reader === undefined) return false
    try {
      const { topic, partition } = reader
      const [earliest] = await listOffsets(this.#cluster, [{ topic, partition }], { kind: 'earliest' })
      if (earliest === undefined || this.#stopping.signal.aborted) return false
      reader.position = earliest.offset
      this.#options.sink.status({ kind: 'offset-out-of-range', topic, partition, resetTo: earliest.offset })
      return true
    } catch {
      return false
    }
  }

  #byLeader(): ReadonlyMap<string, readonly Reader[]> {
    const leaders = new Map<string, Reader[]>()
    for (const [topic, readers] of byTopic([...this.#readers.values()])) {
      const partitions = this.#cluster.findLeaderForPartitions(
        topic,
        readers.map(({ partition }) => partition),
      )
      for (const leader of Object.keys(partitions)) {
        const led = readers.filter(({ partition }) => partitions[leader]?.includes(partition))
        leaders.set(leader, [...(leaders.get(leader) ?? []), ...led])
      }
    }
    return leaders
  }

  #reserveIsFull(): boolean {
    return this.#reserved >= this.#options.settings.maxBytes
  }

  #find(partitions: readonly TopicPartition[]): readonly Reader[] {
    return partitions.flatMap(partition => this.#readers.get(keyOf(partition)) ?? [])
  }

  #wakeUp(): void {
    for (const wake of this.#sleepers.splice(0)) wake()
  }
}

/** kafkajs names the partition on this error only. */
function outOfRange(error: unknown): TopicPartition | undefined {
  if (!(error instanceof Error) || error.name !== 'KafkaJSOffsetOutOfRange') return undefined
  const topic: unknown = Reflect.get(error, 'topic')
  const partition: unknown = Reflect.get(error, 'partition')
  return typeof topic === 'string' && typeof partition === 'number' ? { topic, partition } : undefined
}
