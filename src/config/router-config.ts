/** router.yaml, read and with its defaults filled in. Durations are ms, sizes are bytes. */
export interface RouterConfig {
  readonly name: string
  /** The broker of route files that name none. */
  readonly broker: string
  readonly brokers: Readonly<Record<string, BrokerConfig>>
  readonly server: ServerConfig
  /** `defaults:` as written; the compiler merges it under each file's. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly shutdown: ShutdownConfig
}

export type BrokerConfig = KafkaBrokerConfig | MemoryBrokerConfig

export interface KafkaBrokerConfig {
  readonly type: 'kafka'
  /** `host:port`. */
  readonly brokers: readonly string[]
  readonly consumer: ConsumerProperties
  /** Connections are encrypted; without it they are not. */
  readonly ssl?: KafkaTls
  readonly sasl?: KafkaSasl
}

/** Texts are PEM. Named as Node's tls takes them. */
export interface KafkaTls {
  /** Instead of the authorities that Node knows. */
  readonly ca?: string
  /** With `key`: how this client proves who it is. */
  readonly cert?: string
  readonly key?: string
  readonly passphrase?: string
  /** The name that the broker's certificate must have; default: the host that is connected to. */
  readonly servername?: string
  readonly rejectUnauthorized: boolean
}

export interface KafkaSasl {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: string
  readonly password: string
}

export interface MemoryBrokerConfig {
  readonly type: 'memory'
  /** Partitions of a topic that is made by its first use. */
  readonly partitions: number
}

/** Kafka's consumer properties by their Java names; only those kafkajs can do. */
export interface ConsumerProperties {
  readonly 'fetch.min.bytes'?: number
  readonly 'fetch.max.wait.ms'?: number
  readonly 'fetch.max.bytes'?: number
  readonly 'max.partition.fetch.bytes'?: number
  readonly 'session.timeout.ms'?: number
  readonly 'heartbeat.interval.ms'?: number
  readonly 'rebalance.timeout.ms'?: number
  readonly 'isolation.level'?: 'read_committed' | 'read_uncommitted'
  readonly 'client.id'?: string
}

export interface ServerConfig {
  readonly host: string
  readonly port: number
  /** `host:port` of the admin server; undefined: the public port answers `/metrics` to loopback. */
  readonly admin: { readonly host: string; readonly port: number } | undefined
  readonly apps: readonly AppConfig[]
  /** Exact origins allowed to connect; undefined: any in dev, the same host in run. */
  readonly origins: readonly string[] | undefined
  readonly limits: ServerLimits
}

export interface AppConfig {
  readonly id: string
  readonly key: string
  /** Undefined where the environment variable is unset: `dev` makes one up, `run` refuses. */
  readonly secret: string | undefined
}

export interface ServerLimits {
  /** Bytes of one frame from a client. */
  readonly frame: number
  /** Bytes queued for one socket before it is closed with 4100. */
  readonly queue: number
  /** Subscriptions of one socket. */
  readonly channels: number
  /** Characters of a channel name. */
  readonly channelName: number
  /** Characters of an event name. */
  readonly eventName: number
  /** Bytes of an event's data from a route. */
  readonly broadcast: number
  /** Bytes of an event's data over the HTTP API. */
  readonly apiEvent: number
  /** Sockets in all. */
  readonly connections: number
  /** Frames a second from one client, on average. */
  readonly clientFrames: number
}

export interface ShutdownConfig {
  readonly graceMs: number
  readonly rebalanceMs: number
}
