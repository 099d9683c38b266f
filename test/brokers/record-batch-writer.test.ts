import { createRequire } from 'node:module'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { OutgoingRecord } from '../../src/brokers/broker.ts'
import { splitBatches } from '../../src/brokers/kafka/record-batch.ts'
import { encodeRecordBatch } from '../../src/brokers/kafka/record-batch-writer.ts'
import type { SourceRecord } from '../../src/compiler/plan.ts'
import { readBatches } from './record-batches.ts'

const crc32c = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C')

const now = 1_767_225_600_000

const blob = fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes))
const headers = fc.dictionary(
  fc.string({ unit: 'binary', maxLength: 90 }),
  fc.oneof(blob, fc.array(blob, { minLength: 2, maxLength: 3 })),
  {
    maxKeys: 20,
  },
)
const outgoing = fc.record({
  topic: fc.constant('orders'),
  key: fc.option(blob),
  value: fc.option(blob),
  headers,
  timestamp: fc.oneof(fc.constant(undefined), fc.integer({ min: -1, max: 2 ** 51 })),
})

const readBack = (set: Buffer): readonly SourceRecord[] => readBatches(set, 'orders', 3)

describe('a record batch', () => {
  test('has every record as it was given, in order, whatever is in it', () => {
    fc.assert(
      fc.property(fc.array(outgoing, { minLength: 1, maxLength: 40 }), given => {
        const records: OutgoingRecord[] = given.map(({ timestamp, ...rest }) => (timestamp === undefined ? rest : { ...rest, timestamp }))
        const expected = records.map((record, offset) => ({
          topic: 'orders',
          partition: 3,
          offset,
          timestamp: record.timestamp ?? now,
          timestampType: 'CreateTime',
          key: record.key,
          value: record.value,
          headers: Object.assign(Object.create(null), record.headers),
        }))
        expect(readBack(encodeRecordBatch(records, now))).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })

  test('is one batch, with the checksum, the times and the count that brokers look at', () => {
    const record = { topic: 'orders', key: null, value: Buffer.from('x'), headers: {} }
    const bytes = encodeRecordBatch([{ ...record, timestamp: 9 }, record, { ...record, timestamp: 2 ** 40 + 7 }], 5)
    expect(bytes.readUInt32BE(17)).toBe(crc32c(bytes.subarray(21)))
    expect(bytes.readBigInt64BE(27)).toBe(5n)
    expect(bytes.readBigInt64BE(35)).toBe(2n ** 40n + 7n)
    expect(splitBatches(bytes)).toMatchObject([
      { baseOffset: 0, lastOffset: 2, count: 3, codec: 0, producerId: -1n, isTransactional: false },
    ])
    expect(readBack(bytes).map(({ timestamp }) => timestamp)).toEqual([9, 5, 2 ** 40 + 7])
  })

  test('may be large', () => {
    const value = Buffer.alloc(3_000_000, 'x')
    expect(readBack(encodeRecordBatch([{ topic: 'orders', key: null, value, headers: {} }], now))[0]?.value?.equals(value)).toBe(true)
  })
})
