import { type Broker, BrokerError } from '../brokers/broker.ts'
import type { SubscriptionPlan, TopicSelector } from '../compiler/plan.ts'
import { isRetryTopicOf, newRetryTopic } from '../compiler/retry-topics.ts'
import type { EngineLog } from '../engine/ports.ts'

/**
 * Everything that a subscription reads: its topics, and those of the group's own. Retry topics that are needed are made, and those that exist are
 * read though no route needs them any more: messages may still wait there. Rejects with a BrokerError that can be mended by trying again.
 */
export async function prepareTopics(plan: SubscriptionPlan, broker: Broker, log: EngineLog): Promise<TopicSelector> {
  const { topics, replayTopic, retryTopics } = plan
  if (plan.role === 'fanout') return topics
  const needed = retryTopics.map(({ topic }) => topic)
  await makeMissing(plan, needed, broker, log)
  const existing = await ofEarlierPolicies(plan, broker, log)
  return { ...topics, optional: [...(replayTopic === undefined ? [] : [replayTopic]), ...new Set([...needed, ...existing])] }
}

async function makeMissing({ name }: SubscriptionPlan, needed: readonly string[], broker: Broker, log: EngineLog): Promise<void> {
  if (needed.length === 0) return
  try {
    await broker.createTopics(needed.map(newRetryTopic))
  } catch (error) {
    if (!isRefusal(error)) throw error
    log.error(
      { subscription: name, topics: needed, error: error.message },
      'the retry topics could not be made: where one is missing, messages that fail wait until it is there',
    )
  }
}

async function ofEarlierPolicies({ name, group }: SubscriptionPlan, broker: Broker, log: EngineLog): Promise<readonly string[]> {
  try {
    return (await broker.listTopics()).filter(topic => isRetryTopicOf(group, topic))
  } catch (error) {
    if (!isRefusal(error)) throw error
    log.warn(
      { subscription: name, error: error.message },
      'the broker does not say which retry topics there are: only those are read that the routes need now',
    )
    return []
  }
}

/** Unlike a broker that is away: asking again gives the same. */
function isRefusal(error: unknown): error is BrokerError {
  return error instanceof BrokerError && !error.retriable
}
