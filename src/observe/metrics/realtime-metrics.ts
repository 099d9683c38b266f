import type { RealtimeStats } from '../../realtime/realtime-stats.ts'
import { byReason, counter, gauge, labelledCounter, type Metric } from './metric.ts'

/** Sockets, what they are sent, and what is refused. */
export const realtimeMetrics: readonly Metric<RealtimeStats>[] = [
  gauge('signalbox_realtime_sockets', 'Connected sockets', r => r.sockets),
  gauge('signalbox_realtime_channels', 'Channels with a subscriber', r => r.channels),
  gauge('signalbox_realtime_subscriptions', 'Subscriptions of all sockets', r => r.subscriptions),
  gauge('signalbox_realtime_queue_bytes', 'Bytes waiting in the queues of all sockets', r => r.queuedBytes),
  counter('signalbox_realtime_frames_sent_total', 'Frames written to sockets', r => r.framesOut),
  counter('signalbox_realtime_sent_bytes_total', 'Bytes written to sockets', r => r.bytesOut),
  counter('signalbox_realtime_broadcasts_total', 'Events broadcast to a channel', r => r.broadcasts),
  counter('signalbox_realtime_client_events_total', 'Events that clients sent to each other', r => r.clientEvents),
  counter('signalbox_realtime_conflated_total', 'Events that a newer one replaced before they were sent', r => r.conflated),
  labelledCounter('signalbox_realtime_closes_total', 'Sockets closed', ['reason'], r => byReason(Object.entries(r.closes))),
  labelledCounter('signalbox_realtime_refusals_total', 'Connections, subscriptions and frames refused', ['reason'], r =>
    byReason(Object.entries(r.refusals)),
  ),
]

/** Batches of events for the addresses of apps. */
export const webhookMetrics: readonly Metric<RealtimeStats>[] = [
  counter('signalbox_realtime_webhooks_sent_total', 'Batches that webhook addresses took', r => r.webhooksSent),
  counter('signalbox_realtime_webhook_retries_total', 'Webhook batches sent again', r => r.webhookRetries),
  counter('signalbox_realtime_webhook_events_dropped_total', 'Webhook events that were given up', r => r.webhookEventsDropped),
]
