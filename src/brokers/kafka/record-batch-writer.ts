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
  const blobs = records.map(blobsOf)
  const sizes = records.map(({ timestamp = now }, index) => bodySize(blobs[index] ?? NONE, timestamp - first, index))
  const batch = Buffer.allocUnsafe(sizes.reduce((bytes, size) => bytes + sized(size), BATCH_HEADER))
  const writer = new RecordWriter(batch, BATCH_HEADER)
  for (const [index, { timestamp = now }] of records.entries()) {
    writer.varint(sizes[index] ?? 0)
    writer.body(blobs[index] ?? NONE, timestamp - first, index)
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
  batch.writeInt32BE(crc32c(batch.subarray(CHECKED_FROM)), CRC_AT)
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

/** Key, value, and each header's name and value. */
type Blobs = readonly (Buffer | null)[]

const NONE: Blobs = []
const KEY_AND_VALUE = 2

function blobsOf({ key, value, headers }: OutgoingRecord): Blobs {
  const blobs: (Buffer | null)[] = [key, value]
  for (const name of Object.keys(headers)) {
    const header = headers[name]
    if (header === undefined) continue
    const bytes = bytesOfName(name)
    if (Buffer.isBuffer(header)) blobs.push(bytes, header)
    else for (const item of header) blobs.push(bytes, item)
  }
  return blobs
}

function headerCount(blobs: Blobs): number {
  return (blobs.length - KEY_AND_VALUE) / 2
}

/** Without the size itself. */
function bodySize(blobs: Blobs, timeDelta: number, offsetDelta: number): number {
  let size = 1 + varintSize(timeDelta) + varintSize(offsetDelta) + varintSize(headerCount(blobs))
  for (const blob of blobs) size += blobSize(blob)
  return size
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

  body(blobs: Blobs, timeDelta: number, offsetDelta: number): void {
    // No attributes.
    this.#bytes[this.#at++] = 0
    this.varint(timeDelta)
    this.varint(offsetDelta)
    for (let index = 0; index < KEY_AND_VALUE; index++) this.#blob(blobs[index] ?? null)
    this.varint(headerCount(blobs))
    for (let index = KEY_AND_VALUE; index < blobs.length; index++) this.#blob(blobs[index] ?? null)
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
