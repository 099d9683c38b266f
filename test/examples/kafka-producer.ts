import type kafkajs from 'kafkajs'
import { onTestFinished } from 'vitest'
import { kafkaClient } from '../kafka/kafka-client.ts'

/** A producer from outside, for topics that it makes first. */
export async function producerFor(...topics: readonly string[]): Promise<kafkajs.Producer> {
  const kafka = kafkaClient()
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: topics.map(topic => ({ topic, numPartitions: 1 })) })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return producer
}
