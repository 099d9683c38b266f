import type { Broker } from 'kafkajs'
import { at, type Exchange, listAt, withExchange } from './kafkajs-exchange.ts'

/** What a broker says of a topic. `error`: it says why it does not tell. */
export interface TopicMetadata {
  readonly topic: string
  readonly error: unknown
  /** By their numbers; undefined where a partition has no leader now. */
  readonly leaders: readonly (number | undefined)[]
}

export interface ClusterMetadata {
  readonly nodes: readonly { readonly nodeId: number; readonly address: string }[]
  readonly topics: readonly TopicMetadata[]
}

const METADATA = 3

/**
 * Where the partitions of these topics are. kafkajs throws the whole answer away for one topic that is missing or forbidden, and for one partition without a
 * leader; here each topic has its own answer. Throws where kafkajs is not the version this was written for.
 */
export async function askMetadata(broker: Broker, topics: readonly string[]): Promise<ClusterMetadata> {
  const derived = withExchange(broker, METADATA, ({ request, response }) => ({
    request,
    response: { decode: raw => response.decode(raw), parse: decoded => readMetadata(decoded, response) },
  }))
  if (!canAsk(derived)) throw new Error('kafkajs lacks metadata requests: it is not the version this was written for')
  return derived.metadata(topics)
}

async function readMetadata(decoded: unknown, response: Exchange['response']): Promise<ClusterMetadata> {
  const nodes = listAt(decoded, 'brokers').map(node => ({
    nodeId: Number(at(node, 'nodeId')),
    address: `${String(at(node, 'host'))}:${String(at(node, 'port'))}`,
  }))
  const topics = listAt(decoded, 'topicMetadata').map(async (topic): Promise<TopicMetadata> => {
    const name = at(topic, 'topic')
    if (typeof name !== 'string' || typeof at(topic, 'topicErrorCode') !== 'number')
      throw new Error('kafkajs decodes metadata in another way: it is not the version this was written for')
    return { topic: name, error: await errorOf(topic, response), leaders: leadersOf(topic) }
  })
  return { nodes, topics: await Promise.all(topics) }
}

/** kafkajs says what an error's number means. */
async function errorOf(topic: unknown, response: Exchange['response']): Promise<unknown> {
  if (at(topic, 'topicErrorCode') === 0) return undefined
  try {
    await response.parse({ topicMetadata: [topic] })
  } catch (error) {
    return error
  }
  return new Error(`the broker does not tell the partitions of a topic: error ${String(at(topic, 'topicErrorCode'))}`)
}

function leadersOf(topic: unknown): readonly (number | undefined)[] {
  const leaders: (number | undefined)[] = []
  for (const partition of listAt(topic, 'partitionMetadata')) {
    const leader = Number(at(partition, 'leader'))
    leaders[Number(at(partition, 'partitionId'))] = leader < 0 ? undefined : leader
  }
  return leaders
}

function canAsk(value: unknown): value is { metadata(topics: readonly string[]): Promise<ClusterMetadata> } {
  return typeof at(value, 'metadata') === 'function'
}
