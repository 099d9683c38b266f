import { performance } from 'node:perf_hooks'
import type { Position } from '../history/history.ts'
import type { LiveSettings } from '../settings.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { Resumable } from './resumable.ts'

/** How a client learns its positions. */
export interface PositionSink {
  /** It is about to get an event of the channel and will then stand at `at`; the answer goes along with the event as its id. */
  note(subscription: Resumable, at: Position): string | undefined
  /** It stands there, whether or not anything is sent. */
  stands(subscription: Resumable, at: Position): void
}

/** A client that keeps track of its positions. */
export interface Tracker {
  readonly sink: PositionSink
  readonly resumes: TokenBucket
  /** Bytes that all its subscriptions hold back. */
  heldBytes: number
}

export function makeTracker(sink: PositionSink, { limits }: LiveSettings): Tracker {
  return { sink, resumes: new TokenBucket(limits.channels, performance.now()), heldBytes: 0 }
}
