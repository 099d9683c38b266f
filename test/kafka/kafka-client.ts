import kafkajs from 'kafkajs'
import { kafkaBrokers } from './kafka-address.ts'

/**
 * kafkajs as other programs use it, for what tests do to the broker themselves. It waits longer than kafkajs's one second for a connection: a
 * process that is late to look at its socket calls it timed out, ends it, sees it connect after all, and fails later with "write after end".
 */
export function kafkaClient(brokers: readonly string[] = kafkaBrokers): kafkajs.Kafka {
  return new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING, connectionTimeout: 20_000, requestTimeout: 60_000 })
}
