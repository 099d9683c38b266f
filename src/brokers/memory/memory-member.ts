import type { TopicSelector } from '../../compiler/plan.ts'
import { BrokerError, type CommittedOffset, type ConsumeOptions, type Consumer, type RecordSink, type TopicPartition } from '../broker.ts'
import { revoke } from '../revoke.ts'
import { type MemoryGroup, positionKey } from './memory-group.ts'
import type { PartitionLog } from './partition-log.ts'

/** A delivery of one partition takes at most this much, so that partitions take turns. */
const DELIVERY = { records: 500, bytes: 1024 * 1024 }

/** Kafka's default `offset.metadata.max.bytes`. */
const LARGEST_METADATA = 4_096

/** Longer than any receiver's own bound: only a receiver that never answers meets it. */
const REVOKE_TIMEOUT_MS = 60_000

interface Reader {
  readonly log: PartitionLog
  next: number
  paused: boolean
  /** Being revoked: still this member's for commits, no more records. */
  leaving: boolean
}

let lastId = 0

/** One consumer of a group. Delivers on `setImmediate`, whatever has been written by then in one go. */
export class MemoryMember implements Consumer {
  readonly id = `member-${++lastId}`
  readonly topics: TopicSelector
  readonly #group: MemoryGroup
  readonly #sink: RecordSink
  readonly #onStopped: () => void
  readonly #readers = new Map<string, Reader>()
  readonly #wake = (): void => this.#schedule()
  #releases: Promise<void> = Promise.resolve()
  #scheduled = false
  #stopped: Promise<void> | undefined

  constructor(group: MemoryGroup, options: ConsumeOptions, sink: RecordSink, onStopped: () => void) {
    this.topics = options.topics
    this.#group = group
    this.#sink = sink
    this.#onStopped = onStopped
    group.join(this, options.from)
  }

  get owned(): readonly TopicPartition[] {
    return [...this.#readers.values()].map(reader => position(reader.log))
  }

  get stopping(): boolean {
    return this.#stopped !== undefined
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const reader = this.#readers.get(positionKey(partition))
      if (reader !== undefined) reader.paused = true
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const reader = this.#readers.get(positionKey(partition))
      if (reader !== undefined) reader.paused = false
    }
    this.#schedule()
  }

  async commit(offsets: readonly CommittedOffset[]): Promise<void> {
    for (const offset of offsets) {
      if (Buffer.byteLength(offset.metadata ?? '') > LARGEST_METADATA)
        throw new BrokerError('metadata-too-large', `an offset takes at most ${LARGEST_METADATA} bytes beside it`, { retriable: false })
      if (!Number.isSafeInteger(offset.offset) || offset.offset < 0)
        throw new BrokerError('failed', `${offset.offset} cannot be committed: an offset is a whole number from 0`, { retriable: false })
      if (this.#readers.has(positionKey(offset))) this.#group.commit(offset)
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#leave()
    return this.#stopped
  }

  /** Resolves when everything but `keep` is drained and given up. */
  releaseAllBut(keep: readonly TopicPartition[]): Promise<void> {
    const kept = new Set(keep.map(positionKey))
    const leaving = [...this.#readers.values()].filter(reader => !reader.leaving && !kept.has(positionKey(reader.log)))
    if (leaving.length > 0) {
      for (const reader of leaving) reader.leaving = true
      this.#releases = Promise.all([this.#releases, this.#release(leaving)]).then(() => undefined)
    }
    return this.#releases
  }

  /** Starts reading those of `logs` that are new. */
  grant(logs: readonly PartitionLog[]): void {
    const added = logs.filter(log => !this.#readers.has(positionKey(log)))
    const positions: CommittedOffset[] = []
    for (const log of added) {
      let committed = this.#group.committed(log)
      if (committed === undefined) {
        committed = { ...position(log), offset: log.low }
        this.#group.commit(committed)
      }
      positions.push(committed)
      this.#readers.set(positionKey(log), { log, next: committed.offset, paused: false, leaving: false })
      log.readers.add(this.#wake)
    }
    if (positions.length > 0) this.#sink.assigned(positions)
    this.#sink.status({ kind: 'joined', partitions: this.#readers.size, hasCompany: this.#group.size > 1 })
    this.#schedule()
  }

  async #leave(): Promise<void> {
    await this.releaseAllBut([])
    this.#group.leave(this)
    this.#onStopped()
  }

  async #release(readers: readonly Reader[]): Promise<void> {
    this.#sink.status({ kind: 'rebalancing' })
    for (const { log } of readers) log.readers.delete(this.#wake)
    const partitions = readers.map(reader => position(reader.log))
    await revoke(this.#sink, partitions, false, REVOKE_TIMEOUT_MS)
    for (const partition of partitions) this.#readers.delete(positionKey(partition))
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      let more = false
      for (const reader of [...this.#readers.values()]) more = this.#deliver(reader) || more
      if (more) this.#schedule()
    })
  }

  /** True where the partition has more. */
  #deliver(reader: Reader): boolean {
    const { log } = reader
    if (reader.leaving || reader.paused) return false
    if (reader.next < log.low || reader.next > log.high) {
      reader.next = log.low
      this.#sink.status({ kind: 'offset-out-of-range', topic: log.topic, partition: log.partition, resetTo: log.low })
    }
    if (reader.next === log.high) return false
    const records = log.read(reader.next, DELIVERY.records, DELIVERY.bytes)
    reader.next += records.length
    this.#sink.records(log.topic, log.partition, records, reader.next, log.high)
    return reader.next < log.high
  }
}

function position({ topic, partition }: PartitionLog): TopicPartition {
  return { topic, partition }
}
