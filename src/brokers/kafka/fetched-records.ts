import type { RecordHeaders, SourceRecord } from '../../compiler/plan.ts'

/** A record as kafkajs decodes it (2.2.4, src/protocol/recordBatch/record/v0/decoder.js); 64-bit numbers are text. */
export interface WireRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>> | undefined
  /** A transaction's end, written by the broker. */
  readonly isControlRecord?: boolean
  /** Missing in the formats of before Kafka 0.11. */
  readonly batchContext?: {
    readonly firstOffset: string
    readonly lastOffsetDelta: number
    readonly producerId: string
    readonly inTransaction: boolean
  }
}

/** One partition of a fetch response (src/protocol/requests/fetch/v11/response.js). */
export interface WirePartition {
  readonly partition: number
  readonly highWatermark: string
  /** Null or empty when uncommitted records are asked for. */
  readonly abortedTransactions?: readonly { readonly producerId: string; readonly firstOffset: string }[] | null
  readonly messages: readonly WireRecord[]
}

export interface FetchedRecords {
  readonly records: readonly SourceRecord[]
  /** After everything that was read, control records and compaction gaps included. */
  readonly nextOffset: number
  readonly highWatermark: number
  /** Roughly, keys and values. */
  readonly bytes: number
}

/** Most records have none; nobody may write to it. */
const NO_HEADERS: RecordHeaders = Object.freeze({})

const ABORT_MARKER = Buffer.from([0, 0, 0, 0])

/** What `position` asked for: batches come whole, so records before it are dropped, as are control records and aborted ones. */
export function readPartition(topic: string, position: number, fetched: WirePartition): FetchedRecords {
  const records: SourceRecord[] = []
  const aborted = new AbortedTransactions(fetched.abortedTransactions ?? [])
  let nextOffset = position
  let bytes = 0
  for (const message of fetched.messages) {
    const offset = Number(message.offset)
    const batch = message.batchContext
    // The batch's own end: compaction may have taken its last records.
    nextOffset = Math.max(nextOffset, batch === undefined ? offset + 1 : Number(batch.firstOffset) + batch.lastOffsetDelta + 1)
    if (aborted.skips(message, offset) || offset < position || message.isControlRecord === true) continue
    bytes += (message.key?.length ?? 0) + (message.value?.length ?? 0)
    records.push({
      topic,
      partition: fetched.partition,
      offset,
      timestamp: Number(message.timestamp),
      key: message.key,
      value: message.value,
      headers: readHeaders(message.headers),
    })
  }
  return { records, nextOffset, highWatermark: Number(fetched.highWatermark), bytes }
}

/** Follows which producers are inside a transaction that was taken back, as Java's consumer does (CompletedFetch). */
class AbortedTransactions {
  readonly #upcoming: { readonly producerId: string; readonly firstOffset: number }[]
  readonly #open = new Set<string>()

  constructor(transactions: readonly { readonly producerId: string; readonly firstOffset: string }[]) {
    this.#upcoming = transactions
      .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: Number(firstOffset) }))
      .sort((a, b) => a.firstOffset - b.firstOffset)
  }

  skips({ isControlRecord, key, batchContext }: WireRecord, offset: number): boolean {
    for (let next = this.#upcoming[0]; next !== undefined && next.firstOffset <= offset; next = this.#upcoming[0]) {
      this.#open.add(next.producerId)
      this.#upcoming.shift()
    }
    if (batchContext === undefined || this.#open.size === 0) return false
    if (isControlRecord === true) {
      if (key?.equals(ABORT_MARKER) === true) this.#open.delete(batchContext.producerId)
      return true
    }
    return batchContext.inTransaction && this.#open.has(batchContext.producerId)
  }
}

function readHeaders(headers: WireRecord['headers']): RecordHeaders {
  if (headers === undefined) return NO_HEADERS
  const names = Object.keys(headers)
  if (names.length === 0) return NO_HEADERS
  const own: Record<string, Buffer | readonly Buffer[]> = Object.create(null)
  for (const name of names) {
    const value = headers[name]
    own[name] = Array.isArray(value) ? value.map(bytesOf) : bytesOf(value)
  }
  return own
}

function bytesOf(value: unknown): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.alloc(0)
}
