import type { IHeaders } from 'kafkajs'
import { idHeader } from './sender.ts'
import type { Subject } from './subject.ts'
import { readTopic, type TopicRecord } from './topic-reader.ts'

export interface DeadLetter extends TopicRecord {
  /** The message it was. */
  readonly of: string
  /** `partition/offset` of the original record. */
  readonly origin: string
}

/** Everything in the dead-letter topic of the subject. */
export async function readDeadLetters(subject: Subject): Promise<readonly DeadLetter[]> {
  const records = await readTopic(subject, `${subject.topic}.dlq`)
  return records.map(record => ({ ...record, of: String(record.headers[idHeader]), origin: originOf(record.headers) }))
}

function originOf(headers: IHeaders): string {
  const partition = headers['kafka_dlt-original-partition']
  const offset = headers['kafka_dlt-original-offset']
  return Buffer.isBuffer(partition) && Buffer.isBuffer(offset) ? `${partition.readInt32BE()}/${offset.readBigInt64BE()}` : 'unknown'
}
