import type { ReplayFailure } from './history/history.ts'

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
  | 'token-expired'
  | 'token-replaced'
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
  | 'token'
  | 'subscription-auth'
  | 'subscription-limit'
  | 'client-event'
  | 'client-event-rate'
  | 'sign-in'
  | 'endpoint-auth'
  | 'api-auth'
  | 'api-request'

/** Why a client was told that it has missed something. `unavailable`: nobody could say what, or the client asked too late or too often. */
export type ResumeFailure = ReplayFailure | 'unavailable'

/** Plain counters: the hot path adds, whoever wants to know reads. All but `subscriptions` only grow. */
export class Counters {
  framesOut = 0
  bytesOut = 0
  /** Events handed to the hub, with or without subscribers. */
  broadcasts = 0
  subscriptions = 0
  /** Events that clients sent to each other. */
  clientEvents = 0
  /** Events that a newer one replaced before it was sent. */
  conflated = 0
  /** Subscriptions that went on where they had stopped. */
  resumed = 0
  /** Events sent again to them. */
  replayed = 0
  /** Batches that a webhook's address took. */
  webhooksSent = 0
  webhookRetries = 0
  /** Events of webhooks that were given up. */
  webhookEventsDropped = 0
  readonly closes = new Map<CloseReason, number>()
  readonly refusals = new Map<RefusalReason, number>()
  readonly resumeFailures = new Map<ResumeFailure, number>()

  resumeFailed(reason: ResumeFailure): void {
    this.resumeFailures.set(reason, (this.resumeFailures.get(reason) ?? 0) + 1)
  }

  closed(reason: CloseReason): void {
    this.closes.set(reason, (this.closes.get(reason) ?? 0) + 1)
  }

  refused(reason: RefusalReason): void {
    this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1)
  }
}
