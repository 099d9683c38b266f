import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker } from '../brokers/broker.ts'
import type { SubscriptionPlan } from '../compiler/plan.ts'
import type { SubscriptionRunner } from './subscription-runner.ts'

const lookEveryMs = 100

/** Resolves true once every subscription has read its topics to their end and nothing is at work; false when `signal` aborts first. */
export async function whenEmpty(
  runners: () => Iterable<SubscriptionRunner>,
  brokerOf: (plan: SubscriptionPlan) => Broker,
  signal: AbortSignal,
): Promise<boolean> {
  while (!signal.aborted) {
    const looks = await Promise.all([...runners()].map(runner => isEmpty(runner, brokerOf(runner.processor.plan)).catch(() => false)))
    if (looks.every(empty => empty)) return true
    await sleep(lookEveryMs, undefined, { signal }).catch(() => {})
  }
  return false
}

async function isEmpty({ joined, connected, processor }: SubscriptionRunner, broker: Broker): Promise<boolean> {
  if (!joined || !connected || processor.held.messages > 0) return false
  const assignments = [...processor.assignments]
  const topics = [...new Set(assignments.map(assignment => assignment.topic))]
  const ends = await Promise.all(topics.map(async topic => [topic, await broker.topicOffsets(topic)] as const))
  const { role, group, from } = processor.plan
  const committed = role === 'fanout' ? [] : await broker.committedOffsets(group, topics)
  return assignments.every(({ topic, partition, tracker }) => {
    const end = ends.find(([name]) => name === topic)?.[1].find(of => of.partition === partition)
    if (end === undefined) return false
    // A reader without a group has committed nothing that others could see.
    const lone = role === 'fanout' ? (from.kind === 'latest' ? end.high : end.low) : -1
    const start = committed.find(of => of.topic === topic && of.partition === partition)?.offset ?? lone
    return (tracker.position < 0 ? start : Math.max(tracker.position, start)) >= end.high
  })
}
