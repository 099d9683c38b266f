import kafkajs from 'kafkajs'
import { onTestFinished } from 'vitest'
import { kafkaBrokers } from '../kafka/kafka-address.ts'

/** A producer from outside, for topics that it makes first. */
export async function producerFor(...topics: readonly string[]): Promise<kafkajs.Producer> {
  const kafka = new kafkajs.Kafka({ brokers: [...kafkaBrokers], logLevel: kafkajs.logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: topics.map(topic => ({ topic, numPartitions: 1 })) })
  await admin.disconnect()
  const producer = kafka.producer()
  await producer.connect()
  onTestFinished(() => producer.disconnect())
  return producer
}
