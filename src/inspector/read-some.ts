import type { Broker, Consumer, TopicPartition } from '../brokers/broker.ts'
import type { RecordSequence, SourceRecord } from '../compiler/plan.ts'

/** Offsets from `start` up to, not including, `end`. */
interface Part extends TopicPartition {
  readonly start: number
  readonly end: number
}

const mostRecords = 500
const mostBytes = 4 * 1024 * 1024
const patienceMs = 5_000

/** The first records of a part, and the offset to go on at: `end` where there are no more. */
export async function readSome(broker: Broker, part: Part): Promise<{ readonly records: readonly SourceRecord[]; readonly next: number }> {
  const { topic, partition, start, end } = part
  const records: SourceRecord[] = []
  if (start >= end) return { records, next: end }
  let next = start
  let bytes = 0
  let consumer: Consumer | undefined
  let finish = () => {}
  const done = new Promise<void>(resolve => {
    finish = resolve
  })
  const take = (given: RecordSequence, nextOffset: number): void => {
    for (const record of given) {
      if (record.offset < start || record.offset >= end) continue
      if (records.length >= mostRecords || bytes >= mostBytes) {
        finish()
        return
      }
      records.push(record)
      bytes += record.value?.length ?? 0
      next = record.offset + 1
    }
    next = Math.max(next, nextOffset)
    if (next >= end) finish()
  }
  const timer = setTimeout(finish, patienceMs)
  try {
    consumer = await broker.consume(
      {
        group: undefined,
        topics: { names: [topic], patterns: [] },
        from: { kind: 'latest' },
        startAt: [{ topic, partition, offset: start }],
        maxWaitMs: undefined,
      },
      {
        assigned: () => {},
        revoked: async () => {},
        records: (of, at, given, nextOffset) => {
          if (of === topic && at === partition) take(given, nextOffset)
        },
        status: () => {},
      },
    )
    await done
  } finally {
    clearTimeout(timer)
    await consumer?.stop()
  }
  return { records, next: Math.min(next, end) }
}
