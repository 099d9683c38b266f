import type { IHeaders } from 'kafkajs'
import { expect, onTestFinished } from 'vitest'
import { uniqueName } from '../kafka/kafka-address.ts'
import { patienceMs } from './scale.ts'
import type { Subject } from './subject.ts'

export interface DeadLetter {
  readonly key: string | undefined
  readonly value: Buffer | null
  /** `partition/offset` of the original record. */
  readonly origin: string
  readonly headers: IHeaders
}

/** Reads a dead-letter topic to its end; waits until it has at least `count`. */
export async function readDeadLetters(subject: Subject, topic: string, count: number): Promise<readonly DeadLetter[]> {
  await expect.poll(async () => await endOf(subject, topic), { timeout: patienceMs, interval: 200 }).toBeGreaterThanOrEqual(count)
  const end = await endOf(subject, topic)
  const letters: DeadLetter[] = []
  if (end === 0) return letters
  const consumer = subject.kafka.consumer({ groupId: uniqueName('letters') })
  await consumer.connect()
  onTestFinished(() => consumer.disconnect())
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    const run = consumer.run({
      eachMessage: async ({ message: { key, value, headers = {} } }) => {
        letters.push({ key: key?.toString(), value, origin: originOf(headers), headers })
        if (letters.length >= end) resolve()
      },
    })
    run.catch(reject)
  })
  return letters
}

async function endOf({ admin }: Subject, topic: string): Promise<number> {
  if (!(await admin.listTopics()).includes(topic)) return 0
  return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
}

function originOf(headers: IHeaders): string {
  const partition = headers['kafka_dlt-original-partition']
  const offset = headers['kafka_dlt-original-offset']
  return Buffer.isBuffer(partition) && Buffer.isBuffer(offset) ? `${partition.readInt32BE()}/${offset.readBigInt64BE()}` : 'unknown'
}
