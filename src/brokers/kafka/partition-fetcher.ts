import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from 'kafkajs'
import type { RecordSink, TopicPartition, TopicPartitionOffset } from '../broker.ts'
import { retryDelay } from './back-off.ts'
import { byTopic, keyOf } from './by-topic.ts'
import { type FetchAnswer, fetchBroker } from './fetch-answer.ts'
import { type FetchedRecords, readPartition } from './fetched-records.ts'
import type { KafkaConnection } from './kafka-connection.ts'
import { protocolType } from './kafka-error.ts'
import type { ConsumerSettings } from './kafka-settings.ts'
import { listOffsets } from './start-offsets.ts'

/** Longest wait of a fetch that leaves out a paused partition, in ms: after a resume the partition waits for that fetch to end. */
const WAIT_WHILE_PAUSED_MS = 25

/** An answer of this size keeps the receiver busy for longer than asking for the next one takes. */
const LARGE_ANSWER_BYTES = 64 * 1024

/** The leader changed, or the topic is about to go: the metadata say more. */
const STALE_METADATA: ReadonlySet<string> = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'UNKNOWN_TOPIC_OR_PARTITION',
])

/** What one partition's part of an answer holds, and where it began. */
interface Delivery {
  readonly reader: Reader
  readonly from: number
  readonly fetched: FetchedRecords
}

interface Reader extends TopicPartition {
  /** The next offset to fetch. */
  position: number
  paused: boolean
  /** Fetched while paused, in order: delivered at once on resume, and not fetched further until then. */
  reserve: Delivery[]
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
  /** False while the partitions may be somebody else's: what arrives is kept until `resume`, and not fetched further. */
  readonly mayDeliver: () => boolean
}

/** A request on its way. */
interface PendingFetch {
  readonly cluster: Cluster
  /** Where each partition stood when it was asked for: an answer for another place is no longer wanted. */
  readonly asked: ReadonlyMap<Reader, number>
  readonly response: Promise<FetchAnswer>
}

/**
 * Fetches the partitions of one assignment, one request at a time to each broker that leads some of them, until stopped. After a large
 * answer the next request is sent before it is delivered: the broker gathers while the receiver works. A small one is delivered first: on
 * a calm topic every tenth of a millisecond shows.
 */
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
        { topic, partition, position: offset, paused: false, reserve: [] },
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
    let pending: PendingFetch | undefined
    while (!this.#stopping.signal.aborted) {
      if ((this.#led.get(leader) ?? []).length === 0) break
      pending ??= this.#request(leader)
      if (pending === undefined) {
        await new Promise<void>(wake => this.#sleepers.push(wake))
        continue
      }
      const current = pending
      pending = undefined
      try {
        const response = await current.response
        if (this.#stopping.signal.aborted) break
        const deliveries = this.#take(response, current.asked)
        if (isLarge(deliveries)) pending = this.#request(leader)
        this.#hand(deliveries)
        // What the receiver has queued for this turn, such as writes to sockets, goes out before the next request.
        if (pending === undefined) await nextTurn()
        failures = 0
        this.#options.onSuccess()
      } catch (error) {
        if (this.#stopping.signal.aborted) break
        this.#options.connection.failed(current.cluster, error)
        await this.#recover(error, failures++)
      }
    }
    this.#loops.delete(leader)
  }

  /** Asks for everything that may be fetched from this broker now; undefined while that is nothing. */
  #request(leader: string): PendingFetch | undefined {
    const readers = this.#led.get(leader) ?? []
    const due = readers.filter(reader => reader.reserve.length === 0 && !(reader.paused && this.#reserveIsFull()))
    if (due.length === 0) return undefined
    const cluster = this.#cluster
    const response = this.#fetch(cluster, leader, due, due.length < readers.length)
    // Nobody may come to wait for it: the loop can end before.
    response.catch(() => {})
    return { cluster, asked: new Map(due.map(reader => [reader, reader.position])), response }
  }

  async #fetch(cluster: Cluster, leader: string, due: readonly Reader[], somePaused: boolean): Promise<FetchAnswer> {
    const { settings } = this.#options
    const broker = fetchBroker(await cluster.findBroker({ nodeId: leader }))
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

  /** Moves the partitions on past what was fetched; handing it over comes after. */
  #take({ responses }: FetchAnswer, asked: ReadonlyMap<Reader, number>): readonly Delivery[] {
    const deliveries: Delivery[] = []
    for (const { topicName, partitions } of responses) {
      for (const partition of partitions) {
        const reader = this.#readers.get(keyOf({ topic: topicName, partition: partition.partition }))
        if (reader === undefined || asked.get(reader) !== reader.position) continue
        const from = reader.position
        const fetched = readPartition(topicName, from, partition)
        if (fetched.nextOffset === from) continue
        reader.position = fetched.nextOffset
        deliveries.push({ reader, from, fetched })
      }
    }
    return deliveries
  }

  /** Every partition gets its part, even where the receiver refuses another's: that one is fetched again. Throws the first refusal. */
  #hand(deliveries: readonly Delivery[]): void {
    const refusals: unknown[] = []
    for (const delivery of deliveries) {
      const { reader, fetched } = delivery
      if (reader.paused || reader.reserve.length > 0 || !this.#options.mayDeliver()) {
        reader.reserve.push(delivery)
        this.#reserved += fetched.bytes
        continue
      }
      try {
        this.#deliver(delivery)
      } catch (error) {
        refusals.push(error)
      }
    }
    if (refusals.length > 0) throw refusals[0]
  }

  #deliverReserves(): void {
    if (!this.#options.mayDeliver()) return
    for (const { reserve, paused } of this.#readers.values()) if (!paused) this.#deliverReserve(reserve)
  }

  #deliverReserve(reserve: Delivery[]): void {
    for (let next = reserve[0]; next !== undefined && !next.reader.paused; next = reserve[0]) {
      reserve.shift()
      this.#reserved -= next.fetched.bytes
      try {
        this.#deliver(next)
      } catch (error) {
        this.#options.onFailure(error, 0)
      }
    }
  }

  #deliver({ reader, from, fetched }: Delivery): void {
    if (this.#stopping.signal.aborted) return
    try {
      this.#options.sink.records(reader.topic, reader.partition, fetched.records, fetched.nextOffset, fetched.highWatermark)
    } catch (error) {
      // Not taken: fetched again from there, with all that came after it.
      reader.position = from
      for (const { fetched: later } of reader.reserve.splice(0)) this.#reserved -= later.bytes
      throw error
    }
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

function isLarge(deliveries: readonly Delivery[]): boolean {
  return deliveries.reduce((bytes, { fetched }) => bytes + fetched.bytes, 0) >= LARGE_ANSWER_BYTES
}

/** kafkajs names the partition on this error only. */
function outOfRange(error: unknown): TopicPartition | undefined {
  if (!(error instanceof Error) || error.name !== 'KafkaJSOffsetOutOfRange') return undefined
  const topic: unknown = Reflect.get(error, 'topic')
  const partition: unknown = Reflect.get(error, 'partition')
  return typeof topic === 'string' && typeof partition === 'number' ? { topic, partition } : undefined
}
