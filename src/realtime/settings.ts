import type { AppConfig, ServerConfig, ServerLimits } from '../config/router-config.ts'

/** An app whose secret is known. */
export interface ResolvedApp extends AppConfig {
  readonly secret: string
}

export interface RealtimeConfig extends Omit<ServerConfig, 'apps'> {
  readonly apps: readonly ResolvedApp[]
}

/** The part of the configuration that takes effect without a restart. */
export type HotRealtimeConfig = Pick<RealtimeConfig, 'origins' | 'limits'>

/** What the parts of the server read at the moment they need it, so that a reload changes it under them. */
export interface LiveSettings {
  limits: ServerLimits
}

/** In ms. */
export interface RealtimeTimings {
  /** Silence after which a client is pinged; announced to clients, which ping by themselves after it. */
  readonly activityTimeoutMs: number
  /** Further silence after which the socket is closed with 4201. */
  readonly pongTimeoutMs: number
  /** How often silence is looked for. */
  readonly sweepMs: number
  /** How long a closed socket may take to say goodbye. */
  readonly closeTimeoutMs: number
}

export const defaultTimings: RealtimeTimings = { activityTimeoutMs: 120_000, pongTimeoutMs: 30_000, sweepMs: 5_000, closeTimeoutMs: 5_000 }

/** The log as this room needs it; pino's logger fits. */
export interface RealtimeLog {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}
