import * as implementation from './kafka-server.mjs'

/** A running broker of its own, for tests that end or break it. */
export interface KafkaServer {
  /** `host:port`. */
  readonly address: string
  /** `host:port` of the additional listeners, by name. */
  readonly addresses: Readonly<Record<string, string>>
  /** Java's class path of Kafka's own tools. */
  readonly classPath: string
  /** Ends the broker in order and removes its data. */
  stop(): Promise<void>
  /** Ends the broker as a power cut would; its data stay. */
  kill(): Promise<void>
  /** Starts the broker again on the same ports and data. */
  restart(): Promise<void>
}

export interface KafkaServerOptions {
  /** 0 takes a free one. */
  readonly port?: number
  /** Added to server.properties. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>
  /** More listeners on free ports: security protocols (`SSL`, `SASL_PLAINTEXT`, `SASL_SSL`) by name, in upper case. */
  readonly listeners?: Readonly<Record<string, 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'>>
  /** `SCRAM-SHA-256=[name=ada,password=secret]`. */
  readonly scram?: readonly string[]
}

/** Starts Apache Kafka and resolves when it answers. */
export const startKafka: (options?: KafkaServerOptions) => Promise<KafkaServer> = implementation.startKafka

/** What keeps Kafka from starting here, in one sentence, or undefined. */
export const missingForKafka: () => Promise<string | undefined> = implementation.missingForKafka
