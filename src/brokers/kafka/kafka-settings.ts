import type { ConsumerProperties } from '../../config/router-config.ts'
import { BrokerError } from '../broker.ts'

/** Consumer properties with their defaults filled in; ms and bytes. */
export interface ConsumerSettings {
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly maxBytes: number
  readonly maxBytesPerPartition: number
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly readUncommitted: boolean
}

/**
 * Java's defaults, but: 10 MB a fetch (50 MB decoded at once would stall the event loop), 30 s sessions (a dead instance is noticed sooner),
 * and `read_committed` (what a producer took back is never broadcast). `maxWaitMs` of a subscription wins over the broker's.
 * Throws BrokerError where the values contradict each other.
 */
export function consumerSettings(properties: ConsumerProperties, maxWaitMs: number | undefined): ConsumerSettings {
  const sessionTimeoutMs = properties['session.timeout.ms'] ?? 30_000
  const heartbeatIntervalMs = properties['heartbeat.interval.ms'] ?? Math.min(3_000, Math.floor(sessionTimeoutMs / 3))
  if (heartbeatIntervalMs >= sessionTimeoutMs)
    throw new BrokerError(
      'invalid-config',
      `heartbeat.interval.ms (${heartbeatIntervalMs}) must be lower than session.timeout.ms (${sessionTimeoutMs}); a third of it is usual`,
      { retriable: false },
    )
  return {
    minBytes: properties['fetch.min.bytes'] ?? 1,
    maxWaitMs: maxWaitMs ?? properties['fetch.max.wait.ms'] ?? 500,
    maxBytes: properties['fetch.max.bytes'] ?? 10 * 1024 * 1024,
    maxBytesPerPartition: properties['max.partition.fetch.bytes'] ?? 1024 * 1024,
    sessionTimeoutMs,
    heartbeatIntervalMs,
    rebalanceTimeoutMs: properties['rebalance.timeout.ms'] ?? 60_000,
    readUncommitted: properties['isolation.level'] === 'read_uncommitted',
  }
}
