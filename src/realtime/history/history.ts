import type { ByteString } from '../frame.ts'

/** A place in a channel's history: after the event `serial`, before the next one. `epoch` is `[A-Za-z0-9_-]{1,64}`. */
export interface Position {
  /** Another one: what was kept before is lost, and its serials mean nothing any more. */
  readonly epoch: string
  /** Counts the events of the channel from 1, without holes within an epoch, whoever appended them; 0: before the first. */
  readonly serial: number
}

/** What a channel's rule keeps: events go as soon as one of the three is exceeded, the oldest first. */
export interface HistoryLimits {
  readonly size: number
  readonly ttlMs: number
  readonly bytes: number
}

/** An event as it is kept. */
export interface StoredEvent {
  readonly serial: number
  /** Its name. */
  readonly event: string
  /** Its data as text, as subscribers get it. */
  readonly text: string
  /** The socket that does not get it, on whichever instance. */
  readonly except: string | undefined
}

/** An event as frames hold it: `event` and `data` are JSON strings (quoted) as bytes, `text` is the data before it was quoted. */
export interface MadeEvent {
  readonly event: ByteString
  readonly data: ByteString
  readonly text: string
}

export interface PlacedEvent extends MadeEvent {
  readonly at: Position
}

export interface Append {
  /** The app's id. */
  readonly app: string
  readonly channel: string
  /** Of the event. */
  readonly name: string
  readonly made: MadeEvent
  /** The socket that does not get it, on whichever instance. */
  readonly except: string | undefined
  readonly limits: HistoryLimits
  /**
   * What made the event: `broker:topic:partition:offset:timestamp:route:action`. A second one from there, after a crash or a rebalance, adds nothing as long
   * as the first is kept. Undefined: the event stands for itself, as those of the HTTP API do.
   */
  readonly origin: string | undefined
}

export interface Appended extends Position {
  /** Its origin was there already: `serial` is the first one's, and nothing was added or delivered. */
  readonly isRepeat: boolean
}

/** `position_expired`: some of what was missed is no longer kept. `epoch_changed`: nobody knows what was missed. */
export type ReplayFailure = 'position_expired' | 'epoch_changed'

/** All that was missed, or why not: never a part of it. */
export type Replay = { readonly events: readonly StoredEvent[]; readonly upTo: Position } | { readonly failed: ReplayFailure }

/** Whoever sends events of channels with history to the sockets of this instance. */
export interface HistoryListener {
  /**
   * An event of any instance, for the sockets of this one: of each channel with subscribers here in the order of its serials and without holes, but for
   * what was told to be lost; the first of another epoch, too. A history in this process calls it before `append` answers.
   */
  deliver(app: string, channel: string, event: PlacedEvent, except: string | undefined): void
  /** Events of the channel were missed and cannot be fetched any more; delivery goes on after `at`. */
  lost(app: string, channel: string, at: Position, why: ReplayFailure): void
}

export interface HistoryStats {
  /** Channels of which something is remembered here, bytes they take, and how many were forgotten to make room. Zero where Redis keeps them. */
  readonly channels: number
  readonly bytes: number
  readonly evicted: number
}

/**
 * The latest events of channels whose rule has `history`. What can be answered at once is; a promise settles within the history's own time-out
 * and rejects with HistoryUnavailable where it cannot be reached. The events of one channel are appended in the order in which `append` was called
 * here.
 */
export interface History {
  /** Keeps an event and has every instance deliver it; done once it is kept. Where it rejects, the event may have been kept all the same. */
  append(entry: Append): Appended | Promise<Appended>
  /**
   * What came after a position, up to the latest event kept. Some of it may be still to be delivered, or have been delivered already: whoever asks
   * tells by the serials.
   */
  since(app: string, channel: string, position: Position): Replay | Promise<Replay>
  /** Where delivery on this instance stands: whatever comes after it will be delivered, what is at or before it will not. */
  position(app: string, channel: string): Position | Promise<Position>
  /**
   * The rules have changed: the channels for which `isKept` is false are forgotten, since events will pass by their history. A position from before
   * must not pass for a whole one later.
   */
  retain(isKept: (app: string, channel: string) => boolean): void
  stats(): HistoryStats
  close(): Promise<void>
}

/** The history cannot be reached for now: whatever was to be kept waits, and does not count as a failed attempt. */
export class HistoryUnavailable extends Error {
  override readonly name = 'HistoryUnavailable'
  /** Read by the engine, which knows no realtime errors. */
  readonly keepsAttempt = true
}
