import type { Broker } from 'kafkajs'
import { clusterOf, type KafkaLink } from './kafka-link.ts'
import { at } from './kafkajs-exchange.ts'

/**
 * A connection to one broker, or to any of a list, opened when it is needed. One that broke off is replaced by a new one: kafkajs would open it again,
 * and read the new socket's bytes as the rest of the old one's answer.
 */
export class NodeConnection {
  readonly #openLink: () => KafkaLink
  #open: { readonly link: KafkaLink; readonly broker: Promise<Broker> } | undefined

  constructor(openLink: () => KafkaLink) {
    this.#openLink = openLink
  }

  async broker(): Promise<Broker> {
    const open = this.#open ?? this.#connect()
    const broker = await open.broker
    if (broker.isConnected()) return broker
    if (this.#open === open) this.close()
    return (this.#open ?? this.#connect()).broker
  }

  /** The next request opens it again. */
  close(): void {
    this.#open?.link.close()
    this.#open = undefined
  }

  #connect(): { readonly link: KafkaLink; readonly broker: Promise<Broker> } {
    const link = this.#openLink()
    this.#open = { link, broker: connected(link) }
    return this.#open
  }
}

async function connected(link: KafkaLink): Promise<Broker> {
  const cluster = clusterOf(link, { readUncommitted: false, createsTopics: true })
  await cluster.connect()
  const broker = at(at(cluster, 'brokerPool'), 'seedBroker')
  if (!isBroker(broker)) throw new Error('kafkajs keeps its connections in another way: it is not the version this was written for')
  return broker
}

function isBroker(value: unknown): value is Broker {
  return typeof at(value, 'isConnected') === 'function' && typeof at(value, 'lookupRequest') === 'function'
}
