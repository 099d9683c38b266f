import type { SourceRange } from '../diagnostics/problem.ts'

/** router.yaml, read and with its defaults filled in. Durations are ms, sizes are bytes. */
export interface RouterConfig {
  readonly name: string
  /** The broker of route files that name none. */
  readonly broker: string
  readonly brokers: Readonly<Record<string, BrokerConfig>>
  readonly server: ServerConfig
  /** `defaults:` as written; the compiler merges it under each file's. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly channels: readonly ChannelRule[]
  readonly topics: DeclaredTopics
  readonly http: HttpConfig
  readonly backplane: BackplaneConfig
  readonly idempotency: IdempotencyConfig
  readonly shutdown: ShutdownConfig
}

/** Names and patterns of the events that a topic has, by the topic; those of other topics are not known. */
export type DeclaredTopics = ReadonlyMap<string, readonly string[]>

/** How instances of the router reach each other's sockets. */
export type BackplaneConfig =
  | { readonly type: 'local' }
  /** `prefix`: what its keys and channels in Redis start with. */
  | { readonly type: 'redis'; readonly url: string; readonly prefix: string }

/** Where keys are kept that routes with `idempotency` have worked on. */
export type IdempotencyConfig = {
  /** How long a completed key is remembered where a route does not say. */
  readonly ttlMs: number
  /** How long a claim holds without being renewed. */
  readonly leaseMs: number
} & (
  | { readonly store: 'memory' }
  /** `path`: a folder, relative to the project. */
  | { readonly store: 'level'; readonly path: string }
  | { readonly store: 'redis'; readonly url: string }
)

/** What `http` actions may reach. */
export interface HttpConfig {
  /** Names, `*.example.com` for all below one; undefined: every public host. */
  readonly hosts: readonly string[] | undefined
  /** Private addresses and networks (`10.0.0.0/8`) that may be called. */
  readonly networks: readonly string[]
  /** Of an answer that is kept. */
  readonly responseBytes: number
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
  readonly timeouts: ServerTimeouts
  /** Addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[]
}

export interface AppConfig {
  readonly id: string
  readonly key: string
  /** Undefined where the environment variable is unset: `dev` makes one up, `run` refuses. */
  readonly secret: string | undefined
  /** Whether clients may send events to each other on private and presence channels; a channel rule stands above it. Default: no. */
  readonly clientEvents?: boolean
  /** Whether subscribers are told how many they are. Default: no. */
  readonly subscriptionCount?: boolean
  /** Sockets of this app. Default: no limit but the server's. */
  readonly connections?: number
  readonly webhooks?: readonly WebhookConfig[]
  /** Whose tokens let clients in; default: nobody's. */
  readonly jwt?: JwtConfig
}

/** Signature algorithms by their JWA names (RFC 7518, RFC 8037). */
export const jwtAlgorithms = {
  secret: ['HS256', 'HS384', 'HS512'],
  key: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
} as const

export type JwtAlgorithm = (typeof jwtAlgorithms)[keyof typeof jwtAlgorithms][number]

/** JSON Web Tokens that say who a client is and where it may subscribe. */
export interface JwtConfig {
  readonly key:
    | { readonly kind: 'secret'; readonly secret: string }
    /** PEM. */
    | { readonly kind: 'public-key'; readonly pem: string }
    /** Where a JSON Web Key Set is served. */
    | { readonly kind: 'jwks'; readonly url: string }
  /** The only ones taken, whatever a token says of itself. */
  readonly algorithms: readonly JwtAlgorithm[]
  readonly issuer: string | undefined
  readonly audience: string | undefined
  /** How far the clocks may be apart, in ms. */
  readonly clockToleranceMs: number
}

export const webhookEvents = [
  'channel_occupied',
  'channel_vacated',
  'member_added',
  'member_removed',
  'client_event',
  'cache_miss',
  'subscription_count',
] as const

export type WebhookEvent = (typeof webhookEvents)[number]

/** An address that is told what happens on channels. */
export interface WebhookConfig {
  readonly url: string
  readonly events: readonly WebhookEvent[]
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
  /** Sockets from one address; undefined: no limit, since a proxy or a company is one address too. */
  readonly connectionsPerIp: number | undefined
  /** Frames a second from one client, on average. */
  readonly clientFrames: number
  /** Client events a second from one socket. */
  readonly clientEvents: number
  /** Members of one presence channel. */
  readonly members: number
  /** Bytes of a member's `user_info`. */
  readonly memberInfo: number
  /** Characters of a user id. */
  readonly userId: number
  /** Cache channels of an app whose last event is kept. */
  readonly cachedChannels: number
  /** Bytes for the histories of all channels. */
  readonly history: number
  /** Channels of one event over the HTTP API. */
  readonly apiChannels: number
  /** Events of one batch over the HTTP API. */
  readonly apiBatch: number
}

/** In ms. */
export interface ServerTimeouts {
  /** Silence after which a client is pinged; announced to clients, which ping by themselves after it. */
  readonly activityMs: number
  /** Further silence after which the socket is closed with 4201. */
  readonly pongMs: number
  /** How long a socket may stay without ever having subscribed or signed in; 0: as long as it likes. */
  readonly firstSubscribeMs: number
  /** How long an `authorize` module may take. */
  readonly authorizeMs: number
}

/** One entry of `channels:`; the rule of a channel is that of the pattern with the longest literal start. */
export interface ChannelRule {
  /** `*` stands for any run of characters. */
  readonly pattern: string
  /** Undefined: public channels are public, the others signed. */
  readonly access: 'public' | 'signed' | 'authorize' | undefined
  /** The module that decides; there exactly where `access` is `authorize`. */
  readonly authorize: AuthorizeUse | undefined
  /** Undefined: as the app has it. */
  readonly clientEvents: boolean | undefined
  readonly conflate: ConflateRule | undefined
  /** Undefined: nothing is kept. */
  readonly history: HistoryRule | undefined
  readonly limits: ChannelLimits
}

/** What is kept of a channel; the oldest events go as soon as one of the three is exceeded. */
export interface HistoryRule {
  readonly size: number
  readonly ttlMs: number
  readonly bytes: number
}

/** The module an `authorize:` names, and where it stands. */
export interface AuthorizeUse {
  /** Relative to the project's root. */
  readonly module: string
  readonly exportName: string
  readonly file: string
  readonly range: SourceRange
}

/** At most the latest event in every interval, for each event name and each value of `by`. */
export interface ConflateRule {
  readonly intervalMs: number
  /** The keys that lead to the value inside the data; undefined: one value for all. */
  readonly by: readonly string[] | undefined
}

/** What stands here holds instead of the server's limit. */
export interface ChannelLimits {
  readonly subscribers?: number
  readonly members?: number
  /** A second, from one socket. */
  readonly clientEvents?: number
  /** Bytes of an event's data, wherever it comes from. */
  readonly data?: number
}

export interface ShutdownConfig {
  readonly graceMs: number
  readonly rebalanceMs: number
}
