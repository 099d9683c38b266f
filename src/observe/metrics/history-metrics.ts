import type { RealtimeStats } from '../../realtime/realtime-stats.ts'
import type { SubscriptionSnapshot } from '../snapshots.ts'
import { byReason, counter, gauge, labelledCounter, type Metric } from './metric.ts'

/** Who waits for histories. */
export const historyWaitMetrics: readonly Metric<SubscriptionSnapshot>[] = [
  gauge(
    'signalbox_history_waiting',
    'Broadcasts of messages that wait because the history of their channel does not answer',
    s => s.waitingForHistory,
  ),
]

/** What histories hold, and how clients go on with them. */
export const historyMetrics: readonly Metric<RealtimeStats>[] = [
  gauge('signalbox_history_channels', 'Channels whose history this process remembers', r => r.history.channels),
  gauge('signalbox_history_bytes', 'Memory that histories take in this process', r => r.history.bytes),
  counter('signalbox_history_evicted_total', 'Channels whose history was forgotten to make room', r => r.history.evicted),
  counter('signalbox_realtime_resumed_total', 'Subscriptions that went on where they had stopped', r => r.resumed),
  counter('signalbox_realtime_replayed_total', 'Events sent again to clients that had missed them', r => r.replayed),
  labelledCounter('signalbox_realtime_resume_failures_total', 'Clients that were told that they have missed something', ['reason'], r =>
    byReason(Object.entries(r.resumeFailures)),
  ),
]
