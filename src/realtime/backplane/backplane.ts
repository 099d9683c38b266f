import type { ChannelEvent } from '../delivery.ts'
import type { History, HistoryListener } from '../history/history.ts'
import type { Member } from '../presence.ts'
import type { ResolvedApp } from '../settings.ts'
import type { WebhookPayload } from '../webhook-sender.ts'

/**
 * What makes several instances one server: events, members and occupied channels of each are known to the others. Adding a backplane is one file
 * that implements this, and one line in `registry.ts`; `test/realtime/backplane-contract.ts` says what it has to do.
 */
export interface Backplane {
  /** The part of one app; called once for each, before `open`. */
  join(app: FleetApp): AppBackplane
  /** What channels with history keep, for all instances; called once, before `open`. */
  openHistory(listener: HistoryListener): History
  /** Resolves when others are reached, or when the first try has failed: it goes on trying. Never rejects. */
  open(): Promise<void>
  stats(): BackplaneStats
  /** Takes back what this instance has told, for at most `graceMs`. */
  close(graceMs: number): Promise<void>
}

/** One app as its instances share it. What happens here is told after it has happened; what happens elsewhere goes to the listener. */
export interface AppBackplane {
  /** Any channel may have subscribers elsewhere, whoever is here. */
  readonly isShared: boolean
  /** Called once, before anything happens. */
  listen(listener: FleetListener): void
  /** Sends an event to the other instances; those of this one have got it. */
  publish(channel: string, event: ChannelEvent, except: string | undefined): void
  /** Ends a user's connections on the other instances. */
  terminateUser(userId: string): void

  /** The channel has subscribers here, or none any more. */
  occupied(channel: string): void
  vacated(channel: string): void
  countChanged(channel: string): void
  /** The subscribers of the channel are to be told how many they are. */
  tellCount(channel: string): void
  memberAdded(channel: string, member: Member): void
  memberRemoved(channel: string, member: Member): void

  /**
   * Resolves once members and last event of a channel are known here as they are elsewhere, so that whoever subscribes then is told all of it;
   * undefined where they are known. Never rejects, and takes two seconds at most.
   */
  catchUp(channel: string): Promise<void> | undefined
  /** Members of a channel that are on other instances, by user id; some may be here too. Complete after `catchUp` while the channel has subscribers. */
  membersElsewhere(channel: string): ReadonlyMap<string, Member>

  /** The rest are questions about all instances together. Promises reject with a BackplaneError. */
  channels(prefix: string): Answer<ReadonlyMap<string, Occupancy>>
  occupancy(channels: readonly string[]): Answer<readonly Occupancy[]>
  users(channel: string): Answer<readonly string[]>
}

export type Answer<Value> = Value | Promise<Value>

/** Over all instances. */
export interface Occupancy {
  readonly subscriptions: number
  /** 0 where the channel has no members by its kind. */
  readonly users: number
}

/** An app as a backplane needs it. */
export interface FleetApp {
  readonly app: ResolvedApp
  readonly channels: ReadonlyMap<string, FleetChannel>
}

export interface FleetChannel {
  readonly name: string
  readonly subscriptions: { readonly length: number }
  readonly members: ReadonlyMap<string, Member> | undefined
}

/** Told of what happens elsewhere, and of what happens once for all instances. */
export interface FleetListener {
  /** An event of another instance. */
  deliver(channel: string, event: ChannelEvent, except: string | undefined): void
  /** The last event of a cache channel, which was broadcast when this instance could not hear it. */
  keep(channel: string, event: ChannelEvent, leftMs: number): void
  terminateUser(userId: string): void
  /** A member is on another instance, and no longer on any other. */
  memberAppeared(channel: string, member: Member): void
  memberDisappeared(channel: string, member: Member): void
  /** News for webhooks: one of all instances is told. */
  happened(event: WebhookPayload): void
  /** How many news of channels and members that ended webhooks take before they drop some. */
  roomForEnds(): number
  /** For the subscribers here. */
  counted(channel: string, subscriptions: number): void
}

export interface BackplaneStats {
  /** False while other instances cannot be reached; true where there are none. */
  readonly connected: boolean
  /** Instances that are alive, this one among them. */
  readonly instances: number
  readonly published: number
  readonly received: number
  /** Events that may not have reached the other instances. */
  readonly missed: number
  /** Parts of messages that no instance of this version has sent: they were left out. */
  readonly invalid: number
}

/** The backplane does not answer: another try may help. */
export class BackplaneError extends Error {
  override readonly name = 'BackplaneError'
  readonly code = 'unavailable'
}

export interface BackplaneLog {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
}
