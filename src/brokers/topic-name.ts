import type { TopicSelector } from '../compiler/plan.ts'
import { BrokerError } from './broker.ts'

/** Kafka's rule (org.apache.kafka.common.internals.Topic): 1 to 249 of these characters, neither `.` nor `..`. */
const LEGAL = /^[a-zA-Z0-9._-]{1,249}$/

/** Throws BrokerError for a name no broker would take. */
export function assertTopicName(topic: string): void {
  if (LEGAL.test(topic) && topic !== '.' && topic !== '..') return
  throw new BrokerError(
    'invalid-topic',
    `${JSON.stringify(topic.slice(0, 250))} cannot be a topic: names are 1 to 249 letters, digits, ".", "_" and "-"`,
    {
      retriable: false,
    },
  )
}

/** Topics that brokers keep for themselves. */
export function isInternalTopic(topic: string): boolean {
  return topic.startsWith('__')
}

export function selectsTopic(selector: TopicSelector, topic: string): boolean {
  return (
    selector.names.includes(topic) ||
    selector.optional?.includes(topic) === true ||
    selector.patterns.some(pattern => pattern.matches(topic))
  )
}
