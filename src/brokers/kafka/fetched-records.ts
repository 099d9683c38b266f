import type { RecordHeaders, RecordSequence, SourceRecord } from '../../compiler/plan.ts'
import type { FetchedPartition, OldRecord } from './fetch-answer.ts'
import { BatchReader, isAbortMarker, measureRecords, type RecordBatch, timestampTypeOf } from './record-batch.ts'

export interface FetchedRecords {
  readonly records: RecordSequence
  /** After everything that was read: control records, gaps of compaction and batches it has emptied included. */
  readonly nextOffset: number
  readonly highWatermark: number
  /** Keys, values and header values. */
  readonly bytes: number
}

/** The formats of before Kafka 0.11 have none; nobody may write to it. */
const NO_HEADERS: RecordHeaders = Object.freeze({})

/** What `position` asked for: batches come whole, so records before it are dropped, as are control records and aborted ones. Throws CorruptBatchError. */
export function readPartition(topic: string, position: number, fetched: FetchedPartition): FetchedRecords {
  const { partition, batches, old, highWatermark } = fetched
  if (old.length > 0) return readOld(topic, position, fetched)
  const records = new BatchedRecords(topic, partition, position)
  const aborted = fetched.aborted.length === 0 ? undefined : new AbortedTransactions(fetched.aborted)
  let nextOffset = position
  for (const batch of batches) {
    nextOffset = Math.max(nextOffset, batch.lastOffset + 1)
    if (aborted?.skips(batch) !== true && !batch.isControl && batch.lastOffset >= position) records.add(batch)
  }
  return { records, nextOffset, highWatermark, bytes: records.bytes }
}

/** The records of whole batches from `position` on. */
class BatchedRecords implements RecordSequence {
  length = 0
  bytes = 0
  readonly #topic: string
  readonly #partition: number
  readonly #position: number
  readonly #batches: RecordBatch[] = []

  constructor(topic: string, partition: number, position: number) {
    this.#topic = topic
    this.#partition = partition
    this.#position = position
  }

  /** Throws CorruptBatchError. */
  add(batch: RecordBatch): void {
    const { length, bytes } = measureRecords(batch, this.#topic, this.#partition, this.#position)
    if (length === 0) return
    this.#batches.push(batch)
    this.length += length
    this.bytes += bytes
  }

  [Symbol.iterator](): Iterator<SourceRecord> {
    const batches = this.#batches.values()
    const nextReader = (): BatchReader | undefined => {
      const { done, value } = batches.next()
      return done === true ? undefined : new BatchReader(value, this.#topic, this.#partition)
    }
    return new BatchWalk(this.#position, nextReader)
  }
}

class BatchWalk implements Iterator<SourceRecord> {
  readonly #position: number
  readonly #nextReader: () => BatchReader | undefined
  #reader: BatchReader | undefined

  constructor(position: number, nextReader: () => BatchReader | undefined) {
    this.#position = position
    this.#nextReader = nextReader
    this.#reader = nextReader()
  }

  next(): IteratorResult<SourceRecord> {
    for (; this.#reader !== undefined; this.#reader = this.#nextReader()) {
      for (let value = this.#reader.next(); value !== undefined; value = this.#reader.next())
        if (value.offset >= this.#position) return { done: false, value }
    }
    return { done: true, value: undefined }
  }
}

function readOld(topic: string, position: number, { partition, old, highWatermark }: FetchedPartition): FetchedRecords {
  const all = old.map(message => oldRecord(topic, partition, message))
  const records = all.filter(({ offset }) => offset >= position)
  const nextOffset = all.reduce((next, { offset }) => Math.max(next, offset + 1), position)
  const bytes = records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
  return { records, nextOffset, highWatermark, bytes }
}

function oldRecord(topic: string, partition: number, { offset, timestamp, attributes, key, value }: OldRecord): SourceRecord {
  const timestampType = timestamp === undefined ? 'NoTimestampType' : timestampTypeOf(attributes)
  return { topic, partition, offset: Number(offset), timestamp: Number(timestamp ?? -1), timestampType, key, value, headers: NO_HEADERS }
}

/** Follows which producers are inside a transaction that was taken back, as Java's consumer does (CompletedFetch). */
class AbortedTransactions {
  readonly #upcoming: { readonly producerId: bigint; readonly firstOffset: number }[]
  readonly #open = new Set<bigint>()

  constructor(transactions: FetchedPartition['aborted']) {
    this.#upcoming = [...transactions].sort((a, b) => a.firstOffset - b.firstOffset)
  }

  skips(batch: RecordBatch): boolean {
    for (let next = this.#upcoming[0]; next !== undefined && next.firstOffset <= batch.lastOffset; next = this.#upcoming[0]) {
      this.#open.add(next.producerId)
      this.#upcoming.shift()
    }
    if (batch.isControl) {
      if (isAbortMarker(batch)) this.#open.delete(batch.producerId)
      return true
    }
    return batch.isTransactional && this.#open.has(batch.producerId)
  }
}
