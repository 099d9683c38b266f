import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { RealtimeStats } from '../realtime/realtime-stats.ts'
import { CountedHistogram } from './counted-histogram.ts'
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
  const family = familiesOf(registry)
  let current: Scrape | undefined
  const scrape = (): Scrape => {
    current ??= read(sources)
    return current
  }
  subscriptionMetrics(family, () => scrape().subscriptions, registry)
  realtimeMetrics(family, () => scrape().realtime)
  backplaneMetrics(family, () => scrape().realtime.backplane)
  reloadMetrics(family, () => scrape().reloads)
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

type Subscriptions = () => readonly SubscriptionSnapshot[]

type Label = 'subscription' | 'route' | 'outcome' | 'reason' | 'topic' | 'partition'
type Sample = readonly [labels: Partial<Record<Label, string | number>>, value: number]

interface Families {
  counter(name: string, help: string, labels: readonly Label[], read: () => Iterable<Sample>): void
  gauge(name: string, help: string, labels: readonly Label[], read: () => Iterable<Sample>): void
}

function familiesOf(registry: Registry): Families {
  const registers = [registry]
  return {
    counter(name, help, labelNames, read) {
      new Counter({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of read()) this.inc(labels, value)
        },
      })
    },
    gauge(name, help, labelNames, read) {
      new Gauge({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of read()) this.set(labels, value)
        },
      })
    },
  }
}

function subscriptionMetrics({ counter, gauge }: Families, subscriptions: Subscriptions, registry: Registry): void {
  const each = (value: (of: SubscriptionSnapshot) => number) => () => perSubscription(subscriptions, s => [[{}, value(s)]])
  const one = ['subscription'] as const
  counter(
    'signalbox_messages_received_total',
    'Messages taken from the broker',
    one,
    each(s => s.received),
  )
  counter(
    'signalbox_messages_settled_total',
    'Messages that reached an end: done, dead-lettered, filtered or skipped',
    one,
    each(s => s.settled),
  )
  counter(
    'signalbox_messages_unmatched_total',
    'Messages that no route names, under unmatched: ignore',
    one,
    each(s => s.unmatched),
  )
  counter(
    'signalbox_messages_undecodable_total',
    'Messages that could not be decoded',
    one,
    each(s => s.undecodable),
  )
  counter('signalbox_route_outcomes_total', 'How routes ended, per message that they name', ['subscription', 'route', 'outcome'], () =>
    perSubscription(subscriptions, function* (s) {
      for (const { route, outcomes } of s.routes) {
        for (const [outcome, count] of Object.entries(outcomes)) yield [{ route, outcome }, count]
      }
    }),
  )
  counter('signalbox_skips_total', 'Actions that were left out', ['subscription', 'reason'], () =>
    perSubscription(subscriptions, s => byReason(s.skips)),
  )
  counter(
    'signalbox_retries_total',
    'Attempts after the first one',
    one,
    each(s => s.retries),
  )
  counter(
    'signalbox_retry_topic_messages_total',
    'Messages that were written to a retry topic',
    one,
    each(s => s.retryTopics.messages),
  )
  counter(
    'signalbox_retry_topic_write_failures_total',
    'Messages that could not be written to a retry topic and are tried again',
    one,
    each(s => s.retryTopics.writeFailures),
  )
  counter(
    'signalbox_batch_calls_total',
    'Calls of batch handlers',
    one,
    each(s => s.batches.calls),
  )
  counter(
    'signalbox_batch_messages_total',
    'Messages in calls of batch handlers',
    one,
    each(s => s.batches.messages),
  )
  counter(
    'signalbox_commit_failures_total',
    'Offset commits that did not arrive',
    one,
    each(s => s.commitFailures),
  )
  counter(
    'signalbox_dead_letter_write_failures_total',
    'Dead letters that could not be written and are tried again',
    one,
    each(s => s.deadLetterWriteFailures),
  )
  counter(
    'signalbox_idempotency_waits_total',
    'Messages that waited because somebody else worked on their key',
    one,
    each(s => s.idempotency.waits),
  )
  counter(
    'signalbox_idempotency_leases_lost_total',
    'Leases on keys that ran out or were taken while a route was at work',
    one,
    each(s => s.idempotency.leasesLost),
  )
  counter(
    'signalbox_idempotency_store_failures_total',
    'Questions that the idempotency store did not answer',
    one,
    each(s => s.idempotency.storeFailures),
  )
  counter(
    'signalbox_breaker_opened_total',
    'Times that the breaker of an action opened',
    one,
    each(s => s.breakers.opened),
  )
  gauge(
    'signalbox_breakers_open',
    'Breakers that are open: messages of their actions wait',
    one,
    each(s => s.breakers.open),
  )
  gauge(
    'signalbox_idempotency_store_waiting',
    'Routes of messages that wait because the idempotency store does not answer',
    one,
    each(s => s.idempotency.waitingForStore),
  )
  gauge(
    'signalbox_history_waiting',
    'Broadcasts of messages that wait because the history of their channel does not answer',
    one,
    each(s => s.waitingForHistory),
  )
  gauge(
    'signalbox_idempotency_unshared',
    '1 while other instances share the messages and the idempotency store is not shared',
    one,
    each(s => (s.idempotency.isUnshared ? 1 : 0)),
  )
  gauge(
    'signalbox_backplane_unshared',
    '1 while other instances share the messages and the backplane is not shared',
    one,
    each(s => (s.isUnshared ? 1 : 0)),
  )
  gauge(
    'signalbox_messages_in_flight',
    'Messages taken and not settled yet',
    one,
    each(s => s.inFlight),
  )
  gauge(
    'signalbox_consumer_connected',
    '1 while the consumer is connected to its broker',
    one,
    each(s => (s.connected ? 1 : 0)),
  )
  gauge(
    'signalbox_consumer_paused_partitions',
    'Partitions that are not fetched at the moment',
    one,
    each(s => s.pausedPartitions),
  )
  gauge(
    'signalbox_consumer_lag_messages',
    'Messages between the committed position and the end of the partition',
    ['subscription', 'topic', 'partition'],
    () =>
      perSubscription(subscriptions, function* (s) {
        for (const { topic, partition, lag } of s.partitions) if (lag !== undefined) yield [{ topic, partition }, lag]
      }),
  )
  registry.registerMetric(
    new CountedHistogram(
      'signalbox_message_duration_seconds',
      'Time from taking a message to its end, for messages that waited for something',
      () => subscriptions().map(s => [s.subscription, s.durations] as const),
    ),
  )
}

function realtimeMetrics({ counter, gauge }: Families, realtime: () => RealtimeStats): void {
  const value = (read: (of: RealtimeStats) => number) => (): Sample[] => [[{}, read(realtime())]]
  gauge(
    'signalbox_realtime_sockets',
    'Connected sockets',
    [],
    value(r => r.sockets),
  )
  gauge(
    'signalbox_realtime_channels',
    'Channels with a subscriber',
    [],
    value(r => r.channels),
  )
  gauge(
    'signalbox_realtime_subscriptions',
    'Subscriptions of all sockets',
    [],
    value(r => r.subscriptions),
  )
  gauge(
    'signalbox_realtime_queue_bytes',
    'Bytes waiting in the queues of all sockets',
    [],
    value(r => r.queuedBytes),
  )
  counter(
    'signalbox_realtime_frames_sent_total',
    'Frames written to sockets',
    [],
    value(r => r.framesOut),
  )
  counter(
    'signalbox_realtime_sent_bytes_total',
    'Bytes written to sockets',
    [],
    value(r => r.bytesOut),
  )
  counter(
    'signalbox_realtime_broadcasts_total',
    'Events broadcast to a channel',
    [],
    value(r => r.broadcasts),
  )
  counter(
    'signalbox_realtime_client_events_total',
    'Events that clients sent to each other',
    [],
    value(r => r.clientEvents),
  )
  counter(
    'signalbox_realtime_conflated_total',
    'Events that a newer one replaced before they were sent',
    [],
    value(r => r.conflated),
  )
  gauge(
    'signalbox_history_channels',
    'Channels whose history this process remembers',
    [],
    value(r => r.history.channels),
  )
  gauge(
    'signalbox_history_bytes',
    'Memory that histories take in this process',
    [],
    value(r => r.history.bytes),
  )
  counter(
    'signalbox_history_evicted_total',
    'Channels whose history was forgotten to make room',
    [],
    value(r => r.history.evicted),
  )
  counter(
    'signalbox_realtime_resumed_total',
    'Subscriptions that went on where they had stopped',
    [],
    value(r => r.resumed),
  )
  counter(
    'signalbox_realtime_replayed_total',
    'Events sent again to clients that had missed them',
    [],
    value(r => r.replayed),
  )
  counter('signalbox_realtime_resume_failures_total', 'Clients that were told that they have missed something', ['reason'], () =>
    byReason(Object.entries(realtime().resumeFailures)),
  )
  counter(
    'signalbox_realtime_webhooks_sent_total',
    'Batches that webhook addresses took',
    [],
    value(r => r.webhooksSent),
  )
  counter(
    'signalbox_realtime_webhook_retries_total',
    'Webhook batches sent again',
    [],
    value(r => r.webhookRetries),
  )
  counter(
    'signalbox_realtime_webhook_events_dropped_total',
    'Webhook events that were given up',
    [],
    value(r => r.webhookEventsDropped),
  )
  counter('signalbox_realtime_closes_total', 'Sockets closed', ['reason'], () => byReason(Object.entries(realtime().closes)))
  counter('signalbox_realtime_refusals_total', 'Connections, subscriptions and frames refused', ['reason'], () =>
    byReason(Object.entries(realtime().refusals)),
  )
}

function backplaneMetrics({ counter, gauge }: Families, backplane: () => RealtimeStats['backplane']): void {
  const value = (read: (of: RealtimeStats['backplane']) => number) => (): Sample[] => [[{}, read(backplane())]]
  gauge(
    'signalbox_backplane_connected',
    '1 while the other instances can be reached, and where there are none',
    [],
    value(b => (b.connected ? 1 : 0)),
  )
  gauge(
    'signalbox_backplane_instances',
    'Instances on the backplane, this one among them',
    [],
    value(b => b.instances),
  )
  counter(
    'signalbox_backplane_published_total',
    'Events sent to the other instances',
    [],
    value(b => b.published),
  )
  counter(
    'signalbox_backplane_received_total',
    'Events of other instances that somebody here could want',
    [],
    value(b => b.received),
  )
  counter(
    'signalbox_backplane_missed_total',
    'Events that may not have reached the other instances',
    [],
    value(b => b.missed),
  )
  counter(
    'signalbox_backplane_invalid_total',
    'Parts of messages that no instance of this version has sent',
    [],
    value(b => b.invalid),
  )
}

function reloadMetrics({ counter, gauge }: Families, reloads: () => ReloadSnapshot): void {
  counter('signalbox_reloads_total', 'Configuration changes seen', ['outcome'], () => {
    const { applied, rejected } = reloads()
    return [
      [{ outcome: 'applied' }, applied],
      [{ outcome: 'rejected' }, rejected],
    ]
  })
  gauge('signalbox_config_generation', 'The generation of the configuration that is at work', [], () => [[{}, reloads().generation]])
}

function* perSubscription(subscriptions: Subscriptions, samples: (of: SubscriptionSnapshot) => Iterable<Sample>): Generator<Sample> {
  for (const snapshot of subscriptions()) {
    for (const [labels, value] of samples(snapshot)) yield [{ subscription: snapshot.subscription, ...labels }, value]
  }
}

function* byReason(counts: Iterable<readonly [string, number]>): Generator<Sample> {
  for (const [reason, count] of counts) yield [{ reason }, count]
}
