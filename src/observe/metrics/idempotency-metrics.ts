import type { SubscriptionSnapshot } from '../snapshots.ts'
import { counter, gauge, type Metric } from './metric.ts'

/** How subscriptions get on with the store of their idempotency keys. */
export const idempotencyMetrics: readonly Metric<SubscriptionSnapshot>[] = [
  counter('signalbox_idempotency_waits_total', 'Messages that waited because somebody else worked on their key', s => s.idempotency.waits),
  counter(
    'signalbox_idempotency_leases_lost_total',
    'Leases on keys that ran out or were taken while a route was at work',
    s => s.idempotency.leasesLost,
  ),
  counter(
    'signalbox_idempotency_store_failures_total',
    'Questions that the idempotency store did not answer',
    s => s.idempotency.storeFailures,
  ),
  gauge(
    'signalbox_idempotency_store_waiting',
    'Routes of messages that wait because the idempotency store does not answer',
    s => s.idempotency.waitingForStore,
  ),
  gauge('signalbox_idempotency_unshared', '1 while other instances share the messages and the idempotency store is not shared', s =>
    s.idempotency.isUnshared ? 1 : 0,
  ),
]
