import type { Broker, OutgoingRecord } from '../brokers/broker.ts'
import { createBroker } from '../brokers/registry.ts'
import type { BrokerConfig, RouterConfig } from '../config/router-config.ts'
import type { EngineLog } from '../engine/ports.ts'

/** The brokers of router.yaml, made when first needed. */
export class BrokerSet {
  readonly #brokers = new Map<string, Broker>()
  readonly #log: EngineLog
  readonly #clientId: string
  /** In `dev`: one embedded broker that answers to every name. */
  readonly #embedded: Broker | undefined

  constructor(options: { readonly clientId: string; readonly log: EngineLog; readonly embedded: boolean }) {
    this.#log = options.log
    this.#clientId = options.clientId
    this.#embedded = options.embedded ? this.#create('dev', { type: 'memory', partitions: 4 }) : undefined
  }

  /** Throws for a name that router.yaml does not define: the compiler has checked names before. */
  get(name: string, config: RouterConfig): Broker {
    const known = this.#embedded ?? this.#brokers.get(name)
    if (known !== undefined) return known
    const brokerConfig = Object.hasOwn(config.brokers, name) ? config.brokers[name] : undefined
    if (brokerConfig === undefined) throw new Error(`router.yaml defines no broker ${name}`)
    const broker = this.#create(name, brokerConfig)
    this.#brokers.set(name, broker)
    return broker
  }

  async close(): Promise<void> {
    const brokers = this.#embedded === undefined ? [...this.#brokers.values()] : [this.#embedded]
    await Promise.all(brokers.map(broker => broker.close()))
  }

  #create(name: string, config: BrokerConfig): Broker {
    return createBroker(name, config, {
      clientId: this.#clientId,
      // What a client library says of every attempt is for debugging: the subscriptions say what it means, once.
      log: (level, message, extra) => this.#log.debug({ ...extra, broker: name, clientLevel: level }, message),
    })
  }
}

/** An event as the envelope `event` carries it. */
export function eventRecord(event: {
  readonly topic: string
  readonly event: string
  readonly data: unknown
  readonly key?: string
  readonly id?: string
}): OutgoingRecord {
  const { topic, key, id } = event
  const value = { ...(id === undefined ? {} : { id }), event: event.event, data: event.data }
  return rawRecord({ topic, ...(key === undefined ? {} : { key }), raw: JSON.stringify(value) })
}

/** A record that holds exactly what was given. */
export function rawRecord({
  topic,
  key,
  raw,
  headers = {},
}: {
  readonly topic: string
  readonly key?: string
  readonly raw: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}): OutgoingRecord {
  return {
    topic,
    key: key === undefined ? null : Buffer.from(key),
    value: Buffer.from(raw),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Buffer.from(value)])),
  }
}
