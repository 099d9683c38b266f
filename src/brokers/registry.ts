import type { BrokerConfig } from '../config/router-config.ts'
import type { Broker } from './broker.ts'
import { KafkaBroker } from './kafka/kafka-broker.ts'
import { MemoryBroker } from './memory/memory-broker.ts'

/** Where a broker's client writes its own log lines. */
export type BrokerLog = (level: 'error' | 'warn' | 'info' | 'debug', message: string, extra: Readonly<Record<string, unknown>>) => void

export interface BrokerOptions {
  /** Default: nowhere. */
  readonly log?: BrokerLog
  /** How this process names itself to the broker. */
  readonly clientId: string
  /** How often to look for new topics that match a pattern, and for new partitions, in ms; default 30 s. */
  readonly topicRefreshMs?: number
}

/** Makes the broker `name` of router.yaml; it connects when it is asked to. */
export function createBroker(name: string, config: BrokerConfig, options: BrokerOptions): Broker {
  switch (config.type) {
    case 'memory':
      return new MemoryBroker(name, config)
    case 'kafka':
      return new KafkaBroker(name, config, options)
  }
}
