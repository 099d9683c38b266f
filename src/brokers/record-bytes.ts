import type { OutgoingRecord } from './broker.ts'

/** What Kafka adds to a record at most: its batch's header and its own lengths. */
const OVERHEAD = 70

const HEADER_OVERHEAD = 8

/** About what Kafka counts for a record. */
export function recordBytes({ key, value, headers }: Pick<OutgoingRecord, 'key' | 'value' | 'headers'>): number {
  let bytes = OVERHEAD + (key?.length ?? 0) + (value?.length ?? 0)
  for (const name of Object.keys(headers)) {
    const header = headers[name]
    if (header === undefined) continue
    for (const item of Buffer.isBuffer(header) ? [header] : header) bytes += HEADER_OVERHEAD + name.length + item.length
  }
  return bytes
}
