import type { Broker } from '../brokers/broker.ts'
import type { SubscriptionPlan } from '../compiler/plan.ts'
import type { RouterConfig } from '../config/router-config.ts'
import type { BrokerSet } from '../runtime/broker-set.ts'
import { CommandFailure } from './failure.ts'

export interface PastTopicRequest {
  readonly subscriptions: readonly SubscriptionPlan[]
  readonly router: RouterConfig
  readonly brokers: BrokerSet
  /** Only this topic. */
  readonly topic: string | undefined
  /** All topics are read from here, whatever the files say. */
  readonly broker: string | undefined
}

interface FoundTopic {
  readonly broker: Broker
  readonly topic: string
}

/** The topics that exist and that one of the subscriptions reads, and what had to be left out, a sentence each. Rejects with BrokerError or CommandFailure. */
export async function findPastTopics(
  request: PastTopicRequest,
): Promise<{ readonly topics: readonly FoundTopic[]; readonly notes: readonly string[] }> {
  const { subscriptions, router, brokers, broker: only } = request
  const names = [...new Set(only === undefined ? subscriptions.map(({ broker }) => broker) : [only])]
  const readable = names.filter(name => Object.hasOwn(router.brokers, name) && router.brokers[name]?.type !== 'memory')
  if (readable.length === 0) throw nothingToRead(router, names, only)
  const notes = names
    .filter(name => !readable.includes(name))
    .map(name => `what the broker ${name} has is not read: ${whyNot(router, name)}`)
  const topics: FoundTopic[] = []
  for (const name of readable) {
    const broker = brokers.get(name, router)
    await broker.connect()
    const reading = subscriptions.filter(each => only !== undefined || each.broker === name)
    const found = await existingTopics({ broker, where: `the broker ${name}` }, reading, request.topic)
    topics.push(...found.topics.map(topic => ({ broker, topic })))
    notes.push(...found.notes)
  }
  return { topics, notes }
}

/** Those of the wanted topics that the broker has, and a sentence for each that it has not; `where` is the broker in that sentence. */
export async function existingTopics(
  { broker, where }: { readonly broker: Pick<Broker, 'listTopics'>; readonly where: string },
  subscriptions: readonly SubscriptionPlan[],
  only: string | undefined,
): Promise<{ readonly topics: readonly string[]; readonly notes: readonly string[] }> {
  const existing = new Set(await broker.listTopics())
  const wanted = only === undefined ? wantedTopics(subscriptions, existing) : [only]
  const missing = wanted.filter(topic => !existing.has(topic))
  return {
    topics: wanted.filter(topic => existing.has(topic)),
    notes: missing.map(topic => `the topic ${topic} does not exist at ${where}`),
  }
}

function wantedTopics(subscriptions: readonly SubscriptionPlan[], existing: ReadonlySet<string>): readonly string[] {
  const named = subscriptions.flatMap(({ topics }) => topics.names)
  const matching = [...existing].filter(topic => subscriptions.some(({ topics }) => topics.patterns.some(each => each.matches(topic))))
  return [...new Set([...named, ...matching])].sort()
}

function whyNot(router: RouterConfig, name: string): string {
  return Object.hasOwn(router.brokers, name) ? 'it lives inside the router' : 'router.yaml does not define it'
}

function nothingToRead(router: RouterConfig, names: readonly string[], asked: string | undefined): CommandFailure {
  const kept = Object.keys(router.brokers).filter(name => router.brokers[name]?.type !== 'memory')
  const other =
    kept.length === 0 ? 'define one of type kafka in router.yaml' : `name one that keeps messages: --broker ${kept.join(' or ')}`
  const hint = asked === undefined ? `start \`router dev\` in another terminal, or ${other}` : other
  const [first] = names
  if (first === undefined) return new CommandFailure(2, 'no route file reads anything')
  return new CommandFailure(2, `no past messages at the broker ${asked ?? first}: ${whyNot(router, asked ?? first)}`, hint)
}
