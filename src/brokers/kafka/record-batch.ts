import type { RecordHeaders, SourceRecord, TimestampType } from '../../compiler/plan.ts'

/**
 * Records as brokers keep them since Kafka 0.11 (https://kafka.apache.org/documentation/#recordbatch), read here rather than by kafkajs: a batch
 * that compaction has emptied still says where the next one begins, while kafkajs forgets it and the consumer would ask for it for ever. Most of
 * what a message costs between the socket and its route was kafkajs's reading, too.
 */
export interface RecordBatch {
  readonly baseOffset: number
  /** Of the batch as it was written: compaction may have taken the record. */
  readonly lastOffset: number
  readonly baseTimestamp: number
  readonly timestampType: TimestampType
  /** Where the broker stamps records, all of a batch have this one. In ms since 1970. */
  readonly appendTime: number | undefined
  readonly producerId: bigint
  readonly isTransactional: boolean
  /** A transaction's end, written by the broker. */
  readonly isControl: boolean
  readonly count: number
  /** `CompressionTypes` of kafkajs; 0 is none. */
  readonly codec: number
  readonly records: Buffer
}

/** Bytes that are no record batch. The fetch is tried again: they may have been damaged on the way. */
export class CorruptBatchError extends Error {
  override readonly name = 'CorruptBatchError'
}

/** Base offset and length: what a batch's length does not count. */
const PREFIX_BYTES = 12
const HEADER_BYTES = 61
const MAGIC_AT = 16
const CODEC_MASK = 0x07
const APPEND_TIME_FLAG = 0x08
const TRANSACTIONAL_FLAG = 0x10
const CONTROL_FLAG = 0x20

/** Most records have none; nobody may write to it. */
const NO_HEADERS: RecordHeaders = Object.freeze({})
const EMPTY = Buffer.alloc(0)

/** True where the broker still has the formats of before Kafka 0.11. */
export function isOldFormat(set: Buffer): boolean {
  return set.length > MAGIC_AT && set.readInt8(MAGIC_AT) < 2
}

/** The whole batches of a record set: the broker cuts the last one where the answer is full. */
export function splitBatches(set: Buffer): readonly RecordBatch[] {
  const batches: RecordBatch[] = []
  for (let start = 0; start + HEADER_BYTES <= set.length; ) {
    const end = start + PREFIX_BYTES + set.readInt32BE(start + 8)
    if (end > set.length || isOldFormat(set.subarray(start))) break
    if (end < start + HEADER_BYTES) throw new CorruptBatchError(`a record batch of ${end - start} bytes is shorter than its header`)
    batches.push(readBatch(set.subarray(start, end)))
    start = end
  }
  return batches
}

function readBatch(bytes: Buffer): RecordBatch {
  const baseOffset = readInt64(bytes, 0)
  const attributes = bytes.readInt16BE(21)
  const timestampType = timestampTypeOf(attributes)
  return {
    baseOffset,
    lastOffset: baseOffset + bytes.readInt32BE(23),
    baseTimestamp: readInt64(bytes, 27),
    timestampType,
    appendTime: timestampType === 'LogAppendTime' ? readInt64(bytes, 35) : undefined,
    producerId: bytes.readBigInt64BE(43),
    isTransactional: (attributes & TRANSACTIONAL_FLAG) !== 0,
    isControl: (attributes & CONTROL_FLAG) !== 0,
    count: bytes.readInt32BE(57),
    codec: attributes & CODEC_MASK,
    records: bytes.subarray(HEADER_BYTES),
  }
}

/** The flag is the same one in a record of the formats before. */
export function timestampTypeOf(attributes: number): TimestampType {
  return (attributes & APPEND_TIME_FLAG) === 0 ? 'CreateTime' : 'LogAppendTime'
}

/** Offsets and times: exact up to 2^53. */
export function readInt64(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
}

/**
 * Goes through an uncompressed batch: how many records stand in it from offset `position` on, and how many bytes their keys, values and header values
 * have. Throws CorruptBatchError where any is damaged: what was measured can be read.
 */
export function measureRecords(
  batch: RecordBatch,
  topic: string,
  partition: number,
  position: number,
): { readonly length: number; readonly bytes: number } {
  const reader = new ByteReader(batch.records)
  let [count, bytes] = [0, 0]
  for (let index = 0; index < batch.count; index += 1) {
    const length = reader.varint()
    const end = reader.at + length
    reader.at += 1
    reader.varint()
    const offset = batch.baseOffset + reader.varint()
    const size = reader.skip() + reader.skip() + reader.skipHeaders()
    const isInside = offset >= batch.baseOffset && offset <= batch.lastOffset
    if (!isInside || length < 0 || end > batch.records.length || reader.at > end)
      throw new CorruptBatchError(`record ${index} of the batch at offset ${batch.baseOffset} of ${topic}-${partition} is damaged`)
    reader.at = end
    if (offset < position) continue
    count += 1
    bytes += size
  }
  return { length: count, bytes }
}

/** Reads the records of a batch that was measured, one after the other; keys and values are views of its bytes. */
export class BatchReader {
  readonly #batch: RecordBatch
  readonly #topic: string
  readonly #partition: number
  readonly #reader: ByteReader
  #left: number

  constructor(batch: RecordBatch, topic: string, partition: number) {
    this.#batch = batch
    this.#topic = topic
    this.#partition = partition
    this.#reader = new ByteReader(batch.records)
    this.#left = batch.count
  }

  /** Undefined: there is none any more. */
  next(): SourceRecord | undefined {
    if (this.#left === 0) return undefined
    this.#left -= 1
    const batch = this.#batch
    const reader = this.#reader
    const length = reader.varint()
    const end = reader.at + length
    reader.at += 1
    const delta = reader.varint()
    const timestamp = batch.appendTime ?? batch.baseTimestamp + delta
    const offset = batch.baseOffset + reader.varint()
    const key = reader.bytes()
    const value = reader.bytes()
    const headers = reader.headers()
    reader.at = end
    return { topic: this.#topic, partition: this.#partition, offset, timestamp, timestampType: batch.timestampType, key, value, headers }
  }
}

/** The kind of a control record: its key is a version and a type, 0 for an abort and 1 for a commit. */
export function isAbortMarker(batch: RecordBatch): boolean {
  const reader = new ByteReader(batch.records)
  if (batch.count === 0) return false
  reader.varint()
  reader.at += 1
  reader.varint()
  reader.varint()
  const key = reader.bytes()
  return key !== null && key.length >= 4 && key.readInt16BE(2) === 0
}

class ByteReader {
  at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Zigzag, up to 64 bits; exact up to 2^53. */
  varint(): number {
    let byte = this.#next()
    let value = byte & 0x7f
    for (let scale = 128; byte >= 0x80; scale *= 128) {
      if (scale > 2 ** 63) throw new CorruptBatchError('a number in a record has more than ten bytes')
      byte = this.#next()
      value += (byte & 0x7f) * scale
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.at
    this.at += length
    return this.#bytes.subarray(start, this.at)
  }

  /** Over bytes with their length before them. Answers that length, and 0 for none. */
  skip(): number {
    const length = Math.max(this.varint(), 0)
    this.at += length
    return length
  }

  headers(): RecordHeaders {
    const count = this.#headerCount()
    if (count === 0) return NO_HEADERS
    const headers: Record<string, Buffer | readonly Buffer[]> = Object.create(null)
    for (let index = 0; index < count; index += 1) {
      const name = (this.bytes() ?? EMPTY).toString()
      const value = this.bytes() ?? EMPTY
      const before = headers[name]
      if (before === undefined) headers[name] = value
      else headers[name] = Buffer.isBuffer(before) ? [before, value] : [...before, value]
    }
    return headers
  }

  /** Answers how many bytes their values have. */
  skipHeaders(): number {
    let bytes = 0
    for (let left = this.#headerCount(); left > 0; left -= 1) {
      this.skip()
      bytes += this.skip()
    }
    return bytes
  }

  /** A header takes two bytes at least: a count that cannot be true ends here. */
  #headerCount(): number {
    const count = this.varint()
    if (count < 0 || count * 2 > this.#bytes.length - this.at) throw new CorruptBatchError(`a record claims to have ${count} headers`)
    return count
  }

  #next(): number {
    const byte = this.#bytes[this.at]
    if (byte === undefined) throw new CorruptBatchError('a record batch ends within a record')
    this.at += 1
    return byte
  }
}
