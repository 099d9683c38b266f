import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FetchedPartition } from '../../src/brokers/kafka/fetch-answer.ts'
import { readPartition } from '../../src/brokers/kafka/fetched-records.ts'
import { splitBatches } from '../../src/brokers/kafka/record-batch.ts'
import { batchTime, encodeBatch, type WrittenBatch, type WrittenRecord } from './record-batches.ts'

const noAborts: FetchedPartition['aborted'] = []

async function fetched(batches: readonly WrittenBatch[], aborted = noAborts): Promise<FetchedPartition> {
  const set = Buffer.concat(await Promise.all(batches.map(encodeBatch)))
  return { partition: 0, errorCode: 0, highWatermark: 100, aborted, batches: splitBatches(set), old: [] }
}

function record(offset: number, more: Partial<WrittenRecord> = {}): WrittenRecord {
  return { offset, value: Buffer.from(String(offset)), ...more }
}

function batch(baseOffset: number, lastOffset: number, more: Partial<WrittenBatch> = {}): WrittenBatch {
  const records = Array.from({ length: lastOffset - baseOffset + 1 }, (_, index) => record(baseOffset + index))
  return { baseOffset, lastOffset, records, ...more }
}

async function read(position: number, batches: readonly WrittenBatch[], aborted = noAborts) {
  const { records, nextOffset } = readPartition('t', position, await fetched(batches, aborted))
  return { offsets: Array.from(records, ({ offset }) => offset), nextOffset }
}

describe('a fetched partition', () => {
  test('starts at the offset asked for, though batches come whole', async () => {
    expect(await read(5, [batch(4, 6)])).toEqual({ offsets: [5, 6], nextOffset: 7 })
    const { records } = readPartition('t', 5, await fetched([batch(4, 6), batch(7, 8)]))
    expect(records).toMatchObject({ length: 4, bytes: 4 })
  })

  test('ends where its last batch ended before compaction took records of it', async () => {
    const compacted = batch(0, 9, { records: [record(0), record(3)] })
    expect(await read(0, [compacted])).toEqual({ offsets: [0, 3], nextOffset: 10 })
    expect(await read(5, [compacted])).toEqual({ offsets: [], nextOffset: 10 })
  })

  test('goes past a batch that compaction has emptied', async () => {
    expect(await read(3, [batch(3, 7, { records: [] })])).toEqual({ offsets: [], nextOffset: 8 })
    expect(await read(3, [batch(3, 7, { records: [] }), batch(8, 8)])).toEqual({ offsets: [8], nextOffset: 9 })
  })

  test('leaves out what a transaction took back, and nothing of other producers', async () => {
    const mine = { producerId: 7, isTransactional: true }
    const abort = { ...mine, isControl: true, records: [{ offset: 3, key: Buffer.from([0, 0, 0, 0]) }] }
    const batches = [
      batch(0, 0, mine),
      batch(1, 1, { producerId: 8, isTransactional: true }),
      batch(2, 2, mine),
      batch(3, 3, abort),
      batch(4, 4, mine),
      batch(5, 5),
    ]
    expect(await read(0, batches, [{ producerId: 7n, firstOffset: 0 }])).toEqual({ offsets: [1, 4, 5], nextOffset: 6 })
  })

  test('a commit of the producer does not end a transaction that was taken back', async () => {
    const mine = { producerId: 7, isTransactional: true }
    const commit = { ...mine, isControl: true, records: [{ offset: 1, key: Buffer.from([0, 0, 0, 1]) }] }
    const batches = [batch(0, 0, mine), batch(1, 1, commit), batch(2, 2, mine)]
    expect(await read(0, batches, [{ producerId: 7n, firstOffset: 0 }])).toEqual({ offsets: [], nextOffset: 3 })
  })

  test('knows transactions that began before the offset asked for', async () => {
    const batches = [batch(8, 8, { producerId: 7, isTransactional: true }), batch(9, 9)]
    expect(await read(8, batches, [{ producerId: 7n, firstOffset: 2 }])).toEqual({ offsets: [9], nextOffset: 10 })
  })

  test('reads the formats of before Kafka 0.11', () => {
    const old = [
      { offset: '2', timestamp: '11', attributes: 8, key: null, value: Buffer.from('w') },
      { offset: '3', timestamp: '12', attributes: 0, key: null, value: Buffer.from('x') },
      { offset: '4', attributes: 0, key: null, value: null },
    ]
    const partition = { partition: 0, errorCode: 0, highWatermark: 5, aborted: [], batches: [], old }
    const { records, nextOffset } = readPartition('t', 3, partition)
    expect([...records]).toMatchObject([
      { offset: 3, timestamp: 12, timestampType: 'CreateTime' },
      { offset: 4, timestamp: -1, timestampType: 'NoTimestampType', value: null },
    ])
    expect(nextOffset).toBe(5)
    expect([...readPartition('t', 2, partition).records]).toMatchObject([{ timestampType: 'LogAppendTime' }, {}, {}])
  })

  test('headers keep their bytes, and no name reaches a prototype', async () => {
    const headers = { toString: Buffer.from('x'), empty: Buffer.alloc(0), twice: [Buffer.from('1'), Buffer.alloc(0)] }
    const [found] = readPartition('t', 0, await fetched([batch(0, 0, { records: [record(0, { headers })] })])).records
    expect(Object.getPrototypeOf(found?.headers)).toBeNull()
    expect({ ...found?.headers }).toEqual(headers)
  })

  test('takes the time of the broker where the topic says so', async () => {
    const { records } = readPartition('t', 0, await fetched([batch(0, 1, { appendTime: 1_800_000_000_123 }), batch(2, 2)]))
    expect(Array.from(records, ({ timestamp, timestampType }) => [timestamp, timestampType])).toEqual([
      [1_800_000_000_123, 'LogAppendTime'],
      [1_800_000_000_123, 'LogAppendTime'],
      [batchTime, 'CreateTime'],
    ])
  })

  test('a batch that the end of the answer has cut is left for the next fetch', async () => {
    const set = Buffer.concat([await encodeBatch(batch(0, 1)), await encodeBatch(batch(2, 3))])
    for (const cut of [1, 20, 70]) {
      const batches = splitBatches(set.subarray(0, set.length - cut))
      expect(batches.map(({ lastOffset }) => lastOffset)).toEqual([1])
    }
  })

  test('damaged records are an error and never records', async () => {
    const set = await encodeBatch(batch(0, 0, { records: [record(0, { key: Buffer.from('key'), headers: { a: Buffer.from('b') } })] }))
    for (let index = 61; index < set.length - 1; index += 1) {
      const damaged = Buffer.from(set)
      damaged[index] = 0x7f
      const partition = { partition: 0, errorCode: 0, highWatermark: 1, aborted: [], batches: splitBatches(damaged), old: [] }
      try {
        expect([...readPartition('t', 0, partition).records]).toHaveLength(1)
      } catch (error) {
        expect(error).toHaveProperty('name', 'CorruptBatchError')
      }
    }
  })

  test('holds what was written, whatever the keys, values, headers, times and gaps', async () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map(array => Buffer.from(array))
    const written = fc.record({
      gap: fc.integer({ min: 1, max: 300 }),
      timestamp: fc.integer({ min: batchTime - 2 ** 35, max: batchTime + 2 ** 35 }),
      key: fc.option(bytes),
      value: fc.option(bytes),
      headers: fc.dictionary(fc.string({ minLength: 1 }), bytes, { noNullPrototype: true }),
    })
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 45), fc.array(written, { minLength: 1, maxLength: 20 }), async (base, list) => {
        let offset = base
        const records = list.map(({ gap, ...more }, index) => {
          if (index > 0) offset += gap
          return { offset, ...more }
        })
        const { records: found } = readPartition('t', base, await fetched([{ baseOffset: base, lastOffset: offset, records }]))
        const plain = Array.from(found, ({ offset, timestamp, key, value, headers }) => ({
          offset,
          timestamp,
          key,
          value,
          headers: { ...headers },
        }))
        expect(plain).toEqual(records.map(({ headers, ...more }) => ({ ...more, headers: { ...headers } })))
        const sizes = records.map(({ key, value, headers }) => [key, value, ...Object.values(headers)].map(each => each?.length ?? 0))
        expect(found).toMatchObject({ length: records.length, bytes: sizes.flat().reduce((sum, size) => sum + size, 0) })
      }),
      { numRuns: 100 },
    )
  })
})
