import type { SubscriptionSnapshot } from '../snapshots.ts'
import { byReason, counter, gauge, labelledCounter, labelledGauge, type Metric } from './metric.ts'

/** What becomes of messages, and how their consumer is. */
export const subscriptionMetrics: readonly Metric<SubscriptionSnapshot>[] = [
  counter('signalbox_messages_received_total', 'Messages taken from the broker', s => s.received),
  counter('signalbox_messages_settled_total', 'Messages that reached an end: done, dead-lettered, filtered or skipped', s => s.settled),
  counter(
    'signalbox_messages_done_before_total',
    'Messages that were done before their partition came here, and did not run again',
    s => s.doneBefore,
  ),
  counter('signalbox_messages_unmatched_total', 'Messages that no route names, under unmatched: ignore', s => s.unmatched),
  counter('signalbox_messages_undecodable_total', 'Messages that could not be decoded', s => s.undecodable),
  counter('signalbox_retries_total', 'Attempts after the first one', s => s.retries),
  counter('signalbox_retry_topic_messages_total', 'Messages that were written to a retry topic', s => s.retryTopics.messages),
  counter(
    'signalbox_retry_topic_write_failures_total',
    'Messages that could not be written to a retry topic and are tried again',
    s => s.retryTopics.writeFailures,
  ),
  counter('signalbox_batch_calls_total', 'Calls of batch handlers', s => s.batches.calls),
  counter('signalbox_batch_messages_total', 'Messages in calls of batch handlers', s => s.batches.messages),
  counter('signalbox_messages_released_total', 'Messages that had not ended when their partition left: delivered again', s => s.released),
  counter(
    'signalbox_messages_repeated_total',
    'Messages that had ended when their partition left, and run again all the same: no commit that arrived says so',
    s => s.repeated,
  ),
  counter('signalbox_commit_failures_total', 'Offset commits that did not arrive', s => s.commitFailures),
  counter(
    'signalbox_dead_letter_write_failures_total',
    'Dead letters that could not be written and are tried again',
    s => s.deadLetterWriteFailures,
  ),
  counter(
    'signalbox_dead_letter_references_total',
    'Dead letters that were too large for their topic and only say where their message lies',
    s => s.deadLetterReferences,
  ),
  counter('signalbox_breaker_opened_total', 'Times that the breaker of an action opened', s => s.breakers.opened),
  gauge('signalbox_breakers_open', 'Breakers that are open: messages of their actions wait', s => s.breakers.open),
  gauge('signalbox_messages_in_flight', 'Messages taken and not settled yet', s => s.inFlight),
  gauge('signalbox_consumer_connected', '1 while the consumer is connected to its broker', s => (s.connected ? 1 : 0)),
  gauge('signalbox_consumer_paused_partitions', 'Partitions that are not fetched at the moment', s => s.pausedPartitions),
  labelledCounter('signalbox_route_outcomes_total', 'How routes ended, per message that they name', ['route', 'outcome'], function* (s) {
    for (const { route, outcomes } of s.routes) {
      for (const [outcome, count] of Object.entries(outcomes)) yield [{ route, outcome }, count]
    }
  }),
  labelledCounter('signalbox_skips_total', 'Actions that were left out', ['reason'], s => byReason(s.skips)),
  labelledGauge(
    'signalbox_consumer_lag_messages',
    'Messages between the committed position and the end of the partition',
    ['topic', 'partition'],
    function* (s) {
      for (const { topic, partition, lag } of s.partitions) if (lag !== undefined) yield [{ topic, partition }, lag]
    },
  ),
]
