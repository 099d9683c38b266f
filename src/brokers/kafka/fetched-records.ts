import type { RecordHeaders, SourceRecord } from '../../compiler/plan.ts'
import type { FetchedPartition, OldRecord } from './fetch-answer.ts'
import { isAbortMarker, type RecordBatch, readRecords } from './record-batch.ts'

export interface FetchedRecords {
  readonly records: readonly SourceRecord[]
  /** After everything that was read: control records, gaps of compaction and batches it has emptied included. */
  readonly nextOffset: number
  readonly highWatermark: number
  /** Roughly, keys and values. */
  readonly bytes: number
}

/** The formats of before Kafka 0.11 have none; nobody may write to it. */
const NO_HEADERS: RecordHeaders = Object.freeze({})

/** What `position` asked for: batches come whole, so records before it are dropped, as are control records and aborted ones. Throws CorruptBatchError. */
export function readPartition(topic: string, position: number, fetched: FetchedPartition): FetchedRecords {
  const { partition, batches, old, highWatermark } = fetched
  const records: SourceRecord[] = []
  const aborted = fetched.aborted.length === 0 ? undefined : new AbortedTransactions(fetched.aborted)
  let nextOffset = position
  for (const batch of batches) {
    nextOffset = Math.max(nextOffset, batch.lastOffset + 1)
    if (aborted?.skips(batch) === true || batch.isControl || batch.lastOffset < position) continue
    readRecords(batch, topic, partition, position, records)
  }
  for (const message of old) {
    const record = oldRecord(topic, partition, message)
    nextOffset = Math.max(nextOffset, record.offset + 1)
    if (record.offset >= position) records.push(record)
  }
  let bytes = 0
  for (const { key, value } of records) bytes += (key?.length ?? 0) + (value?.length ?? 0)
  return { records, nextOffset, highWatermark, bytes }
}

function oldRecord(topic: string, partition: number, { offset, timestamp, key, value }: OldRecord): SourceRecord {
  return { topic, partition, offset: Number(offset), timestamp: Number(timestamp ?? -1), key, value, headers: NO_HEADERS }
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
