import type { CloseReason, Counters, RefusalReason } from './counters.ts'

type Counts = Readonly<Omit<Counters, 'closes' | 'refusals' | 'closed' | 'refused'>>

/** A reading of the counters and gauges of the realtime server, as the metrics show it. */
export interface RealtimeStats extends Counts {
  readonly sockets: number
  /** Channels with at least one subscriber. */
  readonly channels: number
  /** Bytes that wait for sockets to take them. */
  readonly queuedBytes: number
  readonly closes: Readonly<Partial<Record<CloseReason, number>>>
  readonly refusals: Readonly<Partial<Record<RefusalReason, number>>>
}
