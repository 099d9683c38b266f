import type { AppConfig, BackplaneConfig, ChannelRule, ServerConfig, ServerLimits, ServerTimeouts } from '../config/router-config.ts'
import type { ChannelRules } from './channel-rules.ts'

/** An app whose secret is known. */
export interface ResolvedApp extends AppConfig {
  readonly secret: string
}

export interface RealtimeConfig extends Omit<ServerConfig, 'apps'> {
  readonly apps: readonly ResolvedApp[]
  readonly channels: readonly ChannelRule[]
  readonly backplane: BackplaneConfig
}

/** The part of the configuration that takes effect without a restart. */
export type HotRealtimeConfig = Pick<RealtimeConfig, 'origins' | 'limits' | 'timeouts' | 'trustedProxies' | 'channels'>

/** What the parts of the server read at the moment they need it, so that a reload changes it under them. */
export interface LiveSettings {
  limits: ServerLimits
  timings: RealtimeTimings
  rules: ChannelRules
}

/** In ms. */
export interface RealtimeTimings extends ServerTimeouts {
  /** How often silence is looked for. */
  readonly sweepMs: number
  /** How long a closed socket may take to say goodbye. */
  readonly closeTimeoutMs: number
  /** How long an empty channel may fill again before webhooks are told; the same for a member that left (Pusher's webhook reference). */
  readonly webhookDebounceMs: number
  /** How long events are gathered into one webhook. */
  readonly webhookBatchMs: number
  /** How long after an event its webhook is still tried. */
  readonly webhookRetryForMs: number
  /** How long the first retry of a webhook waits; each further one twice as long. */
  readonly webhookRetryMs: number
  /** Between two lines about refused connections. */
  readonly refusalLogMs: number
  /**
   * How long events of a channel with history wait for a client to say from where it goes on: it does so one round trip after its subscription, which on a
   * bad network may take seconds, and what waits is bounded by its queue.
   */
  readonly resumeMs: number
  /** How often an instance tells the others that it lives. */
  readonly backplaneHeartbeatMs: number
  /** How long an instance may be silent before the others clear away what it told them. */
  readonly backplaneLeaseMs: number
  /** Between two counts of subscribers told to one channel. */
  readonly subscriptionCountMs: number
}

/** The part of the timings that the configuration leaves open. */
export const fixedTimings: Omit<RealtimeTimings, keyof ServerTimeouts> = {
  sweepMs: 5_000,
  closeTimeoutMs: 5_000,
  webhookDebounceMs: 3_000,
  webhookBatchMs: 100,
  webhookRetryForMs: 300_000,
  webhookRetryMs: 1_000,
  refusalLogMs: 10_000,
  resumeMs: 10_000,
  backplaneHeartbeatMs: 3_000,
  backplaneLeaseMs: 12_000,
  subscriptionCountMs: 1_000,
}

/** The log as this room needs it; pino's logger fits. */
export interface RealtimeLog {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}
