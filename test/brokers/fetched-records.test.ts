import { describe, expect, test } from 'vitest'
import { readPartition, type WireRecord } from '../../src/brokers/kafka/fetched-records.ts'

function record(offset: number, batch: Partial<NonNullable<WireRecord['batchContext']>> = {}, more: Partial<WireRecord> = {}): WireRecord {
  return {
    offset: String(offset),
    timestamp: '5',
    key: null,
    value: Buffer.from(String(offset)),
    headers: {},
    batchContext: { firstOffset: String(offset), lastOffsetDelta: 0, producerId: '-1', inTransaction: false, ...batch },
    ...more,
  }
}

function read(position: number, messages: readonly WireRecord[], aborted: readonly { producerId: string; firstOffset: string }[] = []) {
  const { records, nextOffset } = readPartition('t', position, {
    partition: 0,
    highWatermark: '100',
    abortedTransactions: aborted,
    messages,
  })
  return { offsets: records.map(({ offset }) => offset), nextOffset }
}

describe('a fetched partition', () => {
  test('starts at the offset asked for, though batches come whole', () => {
    const batch = { firstOffset: '4', lastOffsetDelta: 2 }
    expect(read(5, [record(4, batch), record(5, batch), record(6, batch)])).toEqual({ offsets: [5, 6], nextOffset: 7 })
  })

  test('ends where its last batch ended before compaction took records of it', () => {
    const batch = { firstOffset: '0', lastOffsetDelta: 9 }
    expect(read(0, [record(0, batch), record(3, batch)])).toEqual({ offsets: [0, 3], nextOffset: 10 })
    expect(read(5, [record(0, batch), record(3, batch)])).toEqual({ offsets: [], nextOffset: 10 })
  })

  test('leaves out what a transaction took back, and nothing of other producers', () => {
    const mine = { producerId: '7', inTransaction: true }
    const other = { producerId: '8', inTransaction: true }
    const abort = { isControlRecord: true, key: Buffer.from([0, 0, 0, 0]) }
    const messages = [record(0, mine), record(1, other), record(2, mine), record(3, mine, abort), record(4, mine), record(5)]
    expect(read(0, messages, [{ producerId: '7', firstOffset: '0' }])).toEqual({ offsets: [1, 4, 5], nextOffset: 6 })
  })

  test('knows transactions that began before the offset asked for', () => {
    const mine = { producerId: '7', inTransaction: true }
    expect(read(8, [record(8, mine), record(9)], [{ producerId: '7', firstOffset: '2' }])).toEqual({ offsets: [9], nextOffset: 10 })
  })

  test('reads the formats of before Kafka 0.11', () => {
    const old: WireRecord = { offset: '3', timestamp: '-1', key: null, value: null, headers: undefined }
    expect(read(3, [old])).toEqual({ offsets: [3], nextOffset: 4 })
  })

  test('headers keep their bytes, and no name reaches a prototype', () => {
    const headers: WireRecord['headers'] = { toString: Buffer.from('x'), empty: null, twice: [Buffer.from('1'), null] }
    const { records } = readPartition('t', 0, { partition: 0, highWatermark: '1', messages: [record(0, {}, { headers })] })
    expect(Object.getPrototypeOf(records[0]?.headers)).toBeNull()
    expect({ ...records[0]?.headers }).toEqual({
      toString: Buffer.from('x'),
      empty: Buffer.alloc(0),
      twice: [Buffer.from('1'), Buffer.alloc(0)],
    })
  })
})
