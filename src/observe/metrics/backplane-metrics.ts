import type { RealtimeStats } from '../../realtime/realtime-stats.ts'
import type { SubscriptionSnapshot } from '../snapshots.ts'
import { counter, gauge, type Metric } from './metric.ts'

/** Who would need a backplane that is shared. */
export const unsharedBackplaneMetrics: readonly Metric<SubscriptionSnapshot>[] = [
  gauge('signalbox_backplane_unshared', '1 while other instances share the messages and the backplane is not shared', s =>
    s.isUnshared ? 1 : 0,
  ),
]

/** The other instances, and what goes to and comes from them. */
export const backplaneMetrics: readonly Metric<RealtimeStats['backplane']>[] = [
  gauge('signalbox_backplane_connected', '1 while the other instances can be reached, and where there are none', b =>
    b.connected ? 1 : 0,
  ),
  gauge('signalbox_backplane_instances', 'Instances on the backplane, this one among them', b => b.instances),
  counter('signalbox_backplane_published_total', 'Events sent to the other instances', b => b.published),
  counter('signalbox_backplane_received_total', 'Events of other instances that somebody here could want', b => b.received),
  counter('signalbox_backplane_missed_total', 'Events that may not have reached the other instances', b => b.missed),
  counter('signalbox_backplane_invalid_total', 'Parts of messages that no instance of this version has sent', b => b.invalid),
]
