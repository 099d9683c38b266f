import { collectDefaultMetrics, Registry } from 'prom-client'
import type { RealtimeStats } from '../realtime/realtime-stats.ts'
import { CountedHistogram } from './counted-histogram.ts'
import { backplaneMetrics, unsharedBackplaneMetrics } from './metrics/backplane-metrics.ts'
import { historyMetrics, historyWaitMetrics } from './metrics/history-metrics.ts'
import { idempotencyMetrics } from './metrics/idempotency-metrics.ts'
import { type Metric, registerMetrics } from './metrics/metric.ts'
import { realtimeMetrics, webhookMetrics } from './metrics/realtime-metrics.ts'
import { reloadMetrics } from './metrics/reload-metrics.ts'
import { subscriptionMetrics } from './metrics/subscription-metrics.ts'
import type { ReloadSnapshot, SubscriptionSnapshot } from './snapshots.ts'

export interface MetricsSources {
  subscriptions(): Iterable<SubscriptionSnapshot>
  realtime(): RealtimeStats
  reloads(): ReloadSnapshot
}

export interface Metrics {
  readonly contentType: string
  /** Everything in Prometheus's text format, read from the sources now. */
  text(): Promise<string>
}

/**
 * The metrics of one router, in a registry of its own: several routers can live in one process. Nothing is pushed here: the engine and
 * the realtime server count in plain numbers, and a scrape reads them.
 */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  let current: Scrape | undefined
  const scrape = (): Scrape => {
    current ??= read(sources)
    return current
  }
  registerMetrics(registry, () => scrape().subscriptions, perSubscription)
  registry.registerMetric(
    new CountedHistogram(
      'signalbox_message_duration_seconds',
      'Time from taking a message to its end, for messages that waited for something',
      () => scrape().subscriptions.map(s => [s.subscription, s.durations] as const),
    ),
  )
  registerMetrics(registry, () => scrape().realtime, [...realtimeMetrics, ...historyMetrics, ...webhookMetrics])
  registerMetrics(registry, () => scrape().realtime.backplane, backplaneMetrics)
  registerMetrics(registry, () => scrape().reloads, reloadMetrics)
  return {
    contentType: registry.contentType,
    text() {
      current = undefined
      return registry.metrics()
    },
  }
}

/** Everything is read once for a scrape, so that its numbers belong together. */
interface Scrape {
  readonly subscriptions: readonly SubscriptionSnapshot[]
  readonly realtime: RealtimeStats
  readonly reloads: ReloadSnapshot
}

function read(sources: MetricsSources): Scrape {
  return { subscriptions: [...sources.subscriptions()], realtime: sources.realtime(), reloads: sources.reloads() }
}

const ofOneSubscription = [...subscriptionMetrics, ...idempotencyMetrics, ...historyWaitMetrics, ...unsharedBackplaneMetrics]

/** The metrics of one subscription, for all of them: its name becomes a label. */
const perSubscription = ofOneSubscription.map(
  (metric): Metric<readonly SubscriptionSnapshot[]> => ({
    ...metric,
    labels: ['subscription', ...metric.labels],
    *samples(subscriptions) {
      for (const snapshot of subscriptions) {
        for (const [labels, value] of metric.samples(snapshot)) yield [{ subscription: snapshot.subscription, ...labels }, value]
      }
    },
  }),
)
