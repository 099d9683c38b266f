import type { SourceRecord } from '../../compiler/plan.ts'
import type { OutgoingRecord } from '../broker.ts'
import { recordBytes } from '../record-bytes.ts'

/** How much a partition keeps before it drops its oldest records. */
export interface Retention {
  readonly messages: number
  readonly bytes: number
}

/** Dropped records are cut off the array in chunks of at least this many, so that dropping one costs nothing. */
const CUT = 1024

/** The records of one partition, oldest first. */
export class PartitionLog {
  readonly topic: string
  readonly partition: number
  /** Called after each append. */
  readonly readers = new Set<() => void>()
  readonly #retention: Retention
  #records: SourceRecord[] = []
  /** Index in `#records` of the oldest record kept. */
  #head = 0
  #low = 0
  #bytes = 0

  constructor(topic: string, partition: number, retention: Retention) {
    this.topic = topic
    this.partition = partition
    this.#retention = retention
  }

  /** Offset of the oldest record kept. */
  get low(): number {
    return this.#low
  }

  /** Offset of the next record. */
  get high(): number {
    return this.#low + this.#records.length - this.#head
  }

  append(record: OutgoingRecord): void {
    this.#records.push({
      topic: this.topic,
      partition: this.partition,
      offset: this.high,
      timestamp: record.timestamp ?? Date.now(),
      key: record.key,
      value: record.value,
      headers: record.headers,
    })
    this.#bytes += recordBytes(record)
    this.#dropOldest()
    for (const wake of this.readers) wake()
  }

  /** Records from `offset` (not below `low`) on: at least one if there is one, then up to both limits. */
  read(offset: number, maxRecords: number, maxBytes: number): readonly SourceRecord[] {
    const start = this.#head + offset - this.#low
    let end = start
    let bytes = 0
    while (end < this.#records.length && end - start < maxRecords) {
      const record = this.#records[end]
      if (record === undefined) break
      bytes += recordBytes(record)
      if (bytes > maxBytes && end > start) break
      end++
    }
    return this.#records.slice(start, end)
  }

  /** Offset of the first record at or after `timestamp`, else the next offset. */
  offsetAt(timestamp: number): number {
    for (let index = this.#head; index < this.#records.length; index++) {
      const record = this.#records[index]
      if (record !== undefined && record.timestamp >= timestamp) return record.offset
    }
    return this.high
  }

  #dropOldest(): void {
    while (this.#records.length - this.#head > 1 && this.#exceeds()) {
      const oldest = this.#records[this.#head]
      if (oldest !== undefined) this.#bytes -= recordBytes(oldest)
      this.#head++
      this.#low++
    }
    if (this.#head < CUT || this.#head * 2 < this.#records.length) return
    this.#records = this.#records.slice(this.#head)
    this.#head = 0
  }

  #exceeds(): boolean {
    return this.#records.length - this.#head > this.#retention.messages || this.#bytes > this.#retention.bytes
  }
}
