import { createRequire } from 'node:module'
import { readPartition } from '../../src/brokers/kafka/fetched-records.ts'
import { splitBatches } from '../../src/brokers/kafka/record-batch.ts'
import type { SourceRecord } from '../../src/compiler/plan.ts'

const kafkajs = createRequire(import.meta.url)
const encodeRecord = kafkajs('kafkajs/src/protocol/recordBatch/record/v0')
const { RecordBatch } = kafkajs('kafkajs/src/protocol/recordBatch/v0')

export interface WrittenRecord {
  readonly offset: number
  readonly timestamp?: number
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: Readonly<Record<string, Buffer | readonly Buffer[]>>
}

export interface WrittenBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly records: readonly WrittenRecord[]
  /** `CompressionTypes` of kafkajs. */
  readonly compression?: number
  readonly producerId?: number
  readonly isTransactional?: boolean
  readonly isControl?: boolean
  /** Stamped by the broker, in ms. */
  readonly appendTime?: number
}

/** The time of the first record of a batch, in ms. */
export const batchTime = 1_700_000_000_000

/** A record batch as kafkajs's producer writes it, with what only brokers put into one. */
export async function encodeBatch(batch: WrittenBatch): Promise<Buffer> {
  const encoder = await RecordBatch({
    compression: batch.compression ?? 0,
    firstOffset: batch.baseOffset,
    firstTimestamp: batchTime,
    maxTimestamp: batch.appendTime ?? batchTime,
    lastOffsetDelta: batch.lastOffset - batch.baseOffset,
    transactional: batch.isTransactional ?? false,
    producerId: batch.producerId ?? -1,
    records: batch.records.map(({ offset, timestamp = batchTime, key = null, value = null, headers = {} }) =>
      encodeRecord({ offsetDelta: offset - batch.baseOffset, timestampDelta: timestamp - batchTime, key, value, headers }),
    ),
  })
  const bytes: Buffer = encoder.buffer
  const flags = (batch.isControl === true ? 0x20 : 0) | (batch.appendTime === undefined ? 0 : 0x08)
  bytes.writeInt16BE(bytes.readInt16BE(21) | flags, 21)
  return bytes
}

/** Every record of a record set as a producer writes it. */
export function readBatches(set: Buffer, topic: string, partition: number): readonly SourceRecord[] {
  const fetched = { partition, errorCode: 0, highWatermark: 0, aborted: [], batches: splitBatches(set), old: [] }
  return [...readPartition(topic, 0, fetched).records]
}
