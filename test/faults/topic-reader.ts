import type { IHeaders } from 'kafkajs'
import { onTestFinished } from 'vitest'
import { uniqueName } from '../kafka/kafka-address.ts'
import type { Subject } from './subject.ts'

export interface TopicRecord {
  readonly key: string | undefined
  readonly value: Buffer | null
  readonly headers: IHeaders
}

type Source = Pick<Subject, 'admin' | 'kafka'>

/** Reads a topic from its start to where it ends now. */
export async function readTopic(source: Source, topic: string): Promise<readonly TopicRecord[]> {
  const end = await endOf(source, topic)
  const records: TopicRecord[] = []
  if (end === 0) return records
  const consumer = source.kafka.consumer({ groupId: uniqueName('reader') })
  await consumer.connect()
  onTestFinished(() => consumer.disconnect())
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    const run = consumer.run({
      eachBatch: async ({ batch }) => {
        for (const { key, value, headers = {} } of batch.messages) records.push({ key: key?.toString(), value, headers })
        if (records.length >= end) resolve()
      },
    })
    run.catch(reject)
  })
  await consumer.stop()
  return records
}

/** How many records a topic has; none where there is no such topic. */
export async function endOf({ admin }: Pick<Source, 'admin'>, topic: string): Promise<number> {
  if (!(await admin.listTopics()).includes(topic)) return 0
  return (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
}
