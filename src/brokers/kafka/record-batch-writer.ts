import type { OutgoingRecord } from '../broker.ts'
import { crc32c } from './crc32c.ts'

const BATCH_HEADER = 61
/** Base offset and length: what a batch's length does not count. */
const PREFIX_BYTES = 12
const CRC_AT = 17
/** The checksum is of what comes after it. */
const CHECKED_FROM = 21

/**
 * Records as Kafka takes them since 0.11, uncompressed (https://kafka.apache.org/documentation/#recordbatch). Written here rather than by kafkajs,
 * which makes two buffers for each header: a dead letter has a dozen. `now` is the time of records without one, in epoch ms.
 */
export function encodeRecordBatch(records: readonly OutgoingRecord[], now: number): Buffer {
  const [first, last] = timesOf(records, now)
  const sizes = records.map((record, index) => bodySize(record, (record.timestamp ?? now) - first, index))
  const batch = Buffer.allocUnsafe(sizes.reduce((bytes, size) => bytes + sized(size), BATCH_HEADER))
  const writer = new RecordWriter(batch, BATCH_HEADER)
  for (const [index, record] of records.entries()) {
    writer.varint(sizes[index] ?? 0)
    writer.body(record, (record.timestamp ?? now) - first, index)
  }
  batch.fill(0, 0, BATCH_HEADER)
  batch.writeInt32BE(batch.length - PREFIX_BYTES, 8)
  batch.writeInt8(2, 16)
  batch.writeInt32BE(records.length - 1, 23)
  writeInt64(batch, first, 27)
  writeInt64(batch, last, 35)
  // No producer id, epoch and sequence: the producer is not idempotent.
  batch.fill(0xff, 43, 57)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(CHECKED_FROM)), CRC_AT)
  return batch
}

function timesOf(records: readonly OutgoingRecord[], now: number): readonly [number, number] {
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const { timestamp = now } of records) {
    if (timestamp < first) first = timestamp
    if (timestamp > last) last = timestamp
  }
  return [first, last]
}

/** Without the size itself. */
function bodySize({ key, value, headers }: OutgoingRecord, timeDelta: number, offsetDelta: number): number {
  let count = 0
  let size = 1 + varintSize(timeDelta) + varintSize(offsetDelta) + blobSize(key) + blobSize(value)
  for (const name of Object.keys(headers)) {
    const items = itemsOf(headers[name])
    count += items.length
    const nameSize = sized(bytesOfName(name).length)
    for (const item of items) size += nameSize + sized(item.length)
  }
  return size + varintSize(count)
}

const NONE: readonly Buffer[] = []

function itemsOf(header: Buffer | readonly Buffer[] | undefined): readonly Buffer[] {
  if (header === undefined) return NONE
  return Buffer.isBuffer(header) ? [header] : header
}

/** Header names repeat from record to record. Handlers may make up new ones, so that they are not kept for ever. */
const names = new Map<string, Buffer>()
const mostNames = 1_000

function bytesOfName(name: string): Buffer {
  const known = names.get(name)
  if (known !== undefined) return known
  const bytes = Buffer.from(name)
  if (names.size >= mostNames) names.clear()
  names.set(name, bytes)
  return bytes
}

/** So few bytes are copied faster one by one than by a call. */
const mostSingle = 64

class RecordWriter {
  #at: number
  readonly #bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  body({ key, value, headers }: OutgoingRecord, timeDelta: number, offsetDelta: number): void {
    const names = Object.keys(headers)
    // No attributes.
    this.#bytes[this.#at++] = 0
    this.varint(timeDelta)
    this.varint(offsetDelta)
    this.#blob(key)
    this.#blob(value)
    this.varint(names.reduce((count, name) => count + itemsOf(headers[name]).length, 0))
    for (const name of names)
      for (const item of itemsOf(headers[name])) {
        this.#blob(bytesOfName(name))
        this.#blob(item)
      }
  }

  varint(value: number): void {
    let rest = zigzag(value)
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }

  #blob(blob: Buffer | null): void {
    if (blob === null) {
      this.varint(-1)
      return
    }
    this.varint(blob.length)
    if (blob.length > mostSingle) this.#at += blob.copy(this.#bytes, this.#at)
    else for (let index = 0; index < blob.length; index++) this.#bytes[this.#at++] = blob[index] ?? 0
  }
}

function zigzag(value: number): number {
  return value >= 0 ? value * 2 : -value * 2 - 1
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size++
  return size
}

/** Of so many bytes with their length before them. */
function sized(length: number): number {
  return varintSize(length) + length
}

function blobSize(blob: Buffer | null): number {
  return blob === null ? varintSize(-1) : sized(blob.length)
}

/** Exact up to 2^53. */
function writeInt64(bytes: Buffer, value: number, at: number): void {
  bytes.writeInt32BE(Math.floor(value / 0x1_0000_0000), at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}
