import type { BackplaneStats } from './backplane/backplane.ts'
import type { CloseReason, Counters, RefusalReason, ResumeFailure } from './counters.ts'
import type { HistoryStats } from './history/history.ts'

type Counts = Readonly<Omit<Counters, 'closes' | 'refusals' | 'resumeFailures' | 'closed' | 'refused' | 'resumeFailed'>>

/** A reading of the counters and gauges of the realtime server, as the metrics show it. */
export interface RealtimeStats extends Counts {
  readonly sockets: number
  /** Channels with at least one subscriber. */
  readonly channels: number
  /** Bytes that wait for sockets to take them. */
  readonly queuedBytes: number
  readonly backplane: BackplaneStats
  readonly history: HistoryStats
  readonly resumeFailures: Readonly<Partial<Record<ResumeFailure, number>>>
  readonly closes: Readonly<Partial<Record<CloseReason, number>>>
  readonly refusals: Readonly<Partial<Record<RefusalReason, number>>>
}
