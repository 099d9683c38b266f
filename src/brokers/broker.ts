import type { RecordHeaders, RecordSequence, StartPosition, TopicSelector } from '../compiler/plan.ts'

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** `offset` is the next offset to read, as Kafka commits it. */
export interface TopicPartitionOffset extends TopicPartition {
  readonly offset: number
}

/** An offset with what was committed beside it: kept until the next commit, and read back by whoever has the partition next. */
export interface CommittedOffset extends TopicPartitionOffset {
  /** Brokers take 4,000 characters, if not told to take less. */
  readonly metadata?: string | undefined
}

export interface NewTopic {
  readonly topic: string
  readonly partitions: number
}

/** A record to write. Without `partition` the key decides, as Java's default partitioner does (murmur2); without key: any partition. */
export interface OutgoingRecord {
  readonly topic: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
  readonly partition?: number
  /** Epoch milliseconds; default: now. */
  readonly timestamp?: number
}

/**
 * A message broker: an adapter implements this and is registered in `brokers/registry.ts`. All promises reject with a
 * `BrokerError`. Every implementation runs the contract suite in `test/brokers/broker-contract.ts`.
 */
export interface Broker {
  /** The name in router.yaml. */
  readonly name: string
  /** Reaches the broker once; rejects if it cannot within the adapter's connection time-out. Consumers and producers reconnect by themselves later. */
  connect(): Promise<void>
  /** Joins the group and delivers records to `sink`. Resolves once started, before the first assignment. */
  consume(options: ConsumeOptions, sink: RecordSink): Promise<Consumer>
  /**
   * Writes one record; resolves when the broker has acknowledged it (all in-sync replicas). Concurrent calls travel together in one request;
   * records of one key keep the order of the calls.
   */
  produce(record: OutgoingRecord): Promise<void>
  /** Topics that exist, without internal ones. */
  listTopics(): Promise<readonly string[]>
  /** Creates the topics that do not exist yet. */
  createTopics(topics: readonly NewTopic[]): Promise<void>
  /** Creates nothing: rejects where `createTopics` would. */
  assertCreatable(topics: readonly NewTopic[]): Promise<void>
  /** First and next offset of every partition of a topic; an empty list for a topic that does not exist. */
  topicOffsets(topic: string): Promise<readonly { readonly partition: number; readonly low: number; readonly high: number }[]>
  /** Of every partition of a topic the first offset at or after a time, in epoch milliseconds; the next offset where nothing is as new. */
  offsetsSince(topic: string, timestamp: number): Promise<readonly { readonly partition: number; readonly offset: number }[]>
  /** Offsets a group has committed; partitions without a commit are left out. */
  committedOffsets(group: string, topics: readonly string[]): Promise<readonly TopicPartitionOffset[]>
  /** Says where a group goes on. Rejects while it has members. */
  setOffsets(group: string, offsets: readonly TopicPartitionOffset[]): Promise<void>
  /** Stops consumers still running and closes connections. Idempotent. */
  close(): Promise<void>
}

export interface ConsumeOptions {
  /** Undefined: a reader of its own, with every partition. It starts at `from` each time, and what it commits is forgotten when it stops. */
  readonly group: string | undefined
  readonly topics: TopicSelector
  /** Applies to partitions of a group without any commit: their start offsets are committed before the first fetch. Later partitions and topics start at the earliest. */
  readonly from: StartPosition
  /** Only without a group: these partitions start here instead of at `from`. */
  readonly startAt?: readonly TopicPartitionOffset[]
  /** Longest wait for a fetch on a quiet topic, in ms; undefined: the broker's setting. */
  readonly maxWaitMs: number | undefined
}

/**
 * Where a consumer delivers. `records` is synchronous: the receiver keeps what it cannot process yet and pauses the partition
 * when its window is full.
 */
export interface RecordSink {
  /** Partitions this member now has in addition, with what is committed for them. Called before their first records. */
  assigned(partitions: readonly CommittedOffset[]): void
  /**
   * Partitions are about to move (or the consumer is stopping, or its session was lost). Receives nothing more for them once called.
   * Resolves when running work has ended or was given up, bounded by the receiver (`shutdown.rebalance`). Commits made before it
   * resolves still count when `lost` is false; when `lost` is true the partitions already belong to somebody else: nothing may be committed.
   */
  revoked(partitions: readonly TopicPartition[], lost: boolean): Promise<void>
  /**
   * `highWatermark` is the partition's next offset at the broker, for the lag. `nextOffset` is the offset
   * after the last record of this delivery, control records and compaction gaps included: an empty `records` with a larger `nextOffset` is a gap.
   */
  records(topic: string, partition: number, records: RecordSequence, nextOffset: number, highWatermark: number): void
  /** State changes worth a log line, a metric, `/readyz`. */
  status(event: ConsumerStatus): void
}

export type ConsumerStatus =
  /** `partitions` may be 0: the member has joined and has nothing to do. `hasCompany`: the group has other members. */
  | { readonly kind: 'joined'; readonly partitions: number; readonly hasCompany: boolean }
  | { readonly kind: 'rebalancing' }
  /** The broker cannot be reached or the consumer crashed; it comes back by itself. */
  | { readonly kind: 'disconnected'; readonly error: Error; readonly retryInMs: number }
  | { readonly kind: 'offset-out-of-range'; readonly topic: string; readonly partition: number; readonly resetTo: number }
  | { readonly kind: 'warning'; readonly message: string }

export interface Consumer {
  /** Stops fetching these partitions; records already delivered stay delivered. */
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /**
   * Commits for partitions this member still owns; others are ignored. What is not given as `metadata` is no longer there. Rejects with BrokerError
   * when it did not arrive.
   */
  commit(offsets: readonly CommittedOffset[]): Promise<void>
  /** Revokes everything (the sink drains and commits), leaves the group, resolves when gone. */
  stop(): Promise<void>
}

export type BrokerErrorCode =
  | 'unreachable'
  /** No secure connection: a certificate is refused, or one side speaks TLS and the other does not. */
  | 'tls'
  | 'authentication'
  | 'authorization'
  | 'unknown-topic'
  /** No broker would take the name. */
  | 'invalid-topic'
  | 'record-too-large'
  /** It takes less beside an offset. */
  | 'metadata-too-large'
  /** The topic takes no record of that shape: a compacted one needs a key, another takes no time of its sender. */
  | 'invalid-record'
  | 'invalid-config'
  /** Somebody reads in the group. */
  | 'group-active'
  | 'closed'
  | 'failed'

/** What no try will ever write. Everything else may pass or be mended while the message waits, what a broker cannot explain included. */
const HOPELESS: ReadonlySet<BrokerErrorCode> = new Set(['record-too-large', 'invalid-topic', 'invalid-record'])

export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: BrokerErrorCode
  /** True where the same call can work later. */
  readonly retriable: boolean
  constructor(code: BrokerErrorCode, message: string, options: { readonly retriable: boolean; readonly cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = code
    this.retriable = options.retriable
  }

  /** True for a record that no try will ever write. The engine does not retry it. */
  get permanent(): boolean {
    return HOPELESS.has(this.code)
  }
}

/** What `setOffsets` rejects with where the group has members. */
export function groupActive(group: string): BrokerError {
  return new BrokerError('group-active', `the group ${group} has members: its offsets can be set only while nobody reads in it`, {
    retriable: true,
  })
}
