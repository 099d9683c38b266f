import type { RealtimeStats } from '../../src/realtime/realtime-stats.ts'

/** A realtime server that nobody has spoken to yet. */
export const quietRealtime: RealtimeStats = {
  sockets: 0,
  channels: 0,
  subscriptions: 0,
  queuedBytes: 0,
  framesOut: 0,
  bytesOut: 0,
  broadcasts: 0,
  clientEvents: 0,
  conflated: 0,
  history: { channels: 0, bytes: 0, evicted: 0 },
  resumed: 0,
  replayed: 0,
  resumeFailures: {},
  webhooksSent: 0,
  webhookRetries: 0,
  webhookEventsDropped: 0,
  backplane: { connected: true, instances: 1, published: 0, received: 0, missed: 0, invalid: 0 },
  closes: {},
  refusals: {},
}
