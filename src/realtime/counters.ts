/** Why an established socket went away. */
export type CloseReason =
  | 'client'
  | 'lost'
  | 'slow-consumer'
  | 'inactive'
  | 'unused'
  | 'too-fast'
  | 'frame-invalid'
  | 'frame-too-large'
  | 'fragments'
  | 'terminated'
  | 'refused'
  | 'shutdown'

/** What was asked for and not granted: a connection, a subscription, a frame or an HTTP request. */
export type RefusalReason =
  | 'path'
  | 'stopping'
  | 'app-key'
  | 'protocol-version'
  | 'origin'
  | 'capacity'
  | 'app-capacity'
  | 'address-capacity'
  | 'message'
  | 'channel-name'
  | 'subscription-auth'
  | 'subscription-limit'
  | 'client-event'
  | 'client-event-rate'
  | 'sign-in'
  | 'endpoint-auth'
  | 'api-auth'
  | 'api-request'

/** Plain counters: the hot path adds, whoever wants to know reads. */
export class Counters {
  framesOut = 0
  bytesOut = 0
  broadcasts = 0
  subscriptions = 0
  clientEvents = 0
  conflated = 0
  webhooksSent = 0
  webhookRetries = 0
  webhookEventsDropped = 0
  readonly closes = new Map<CloseReason, number>()
  readonly refusals = new Map<RefusalReason, number>()

  closed(reason: CloseReason): void {
    this.closes.set(reason, (this.closes.get(reason) ?? 0) + 1)
  }

  refused(reason: RefusalReason): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1)
  }
}

/** A reading of the counters and gauges. All but the first four only grow. */
export interface RealtimeStats {
  readonly sockets: number
  readonly subscriptions: number
  /** Channels with at least one subscriber. */
  readonly channels: number
  /** Bytes that wait for sockets to take them. */
  readonly queuedBytes: number
  readonly framesOut: number
  readonly bytesOut: number
  /** Events handed to the hub, with or without subscribers. */
  readonly broadcasts: number
  /** Events that clients sent to each other. */
  readonly clientEvents: number
  /** Events that a newer one replaced before it was sent. */
  readonly conflated: number
  /** Batches that a webhook's address took. */
  readonly webhooksSent: number
  readonly webhookRetries: number
  /** Events of webhooks that were given up. */
  readonly webhookEventsDropped: number
  readonly closes: Readonly<Partial<Record<CloseReason, number>>>
  readonly refusals: Readonly<Partial<Record<RefusalReason, number>>>
}
