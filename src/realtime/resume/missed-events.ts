import type { ConflateRule } from '../../config/router-config.ts'
import { conflationKey } from '../conflation-key.ts'
import type { StoredEvent } from '../history/history.ts'
import type { StoppedAt } from './resumable.ts'

export interface Missed {
  readonly event: StoredEvent
  /** A client that has got it misses nothing up to this serial. */
  readonly isWholeUpTo: number
}

/**
 * The events that a client has missed of those after its position: not those that it got before it could be told where it stood, nor those that it
 * had sent itself, on this socket or on the one before. Of a conflated channel only the latest of each key, which may be one that the client has: never an older one.
 */
export function missedEvents(
  events: readonly StoredEvent[],
  from: StoppedAt,
  socketId: string,
  conflate: ConflateRule | undefined,
): readonly Missed[] {
  const meant = events.filter(({ except }) => except === undefined || (except !== from.socketId && except !== socketId))
  if (conflate === undefined) return meant.slice(alreadyGot(meant, from.received)).map(event => ({ event, isWholeUpTo: event.serial }))
  const latest = new Map<string, StoredEvent>()
  for (const event of meant) {
    const key = conflationKey(JSON.stringify(event.event), event.text, conflate)
    // Deleted first, so that they stay in the order of their serials.
    latest.delete(key)
    latest.set(key, event)
  }
  const kept = [...latest.values()]
  return kept.map((event, index) => ({ event, isWholeUpTo: index === kept.length - 1 ? event.serial : from.serial }))
}

/** How many of the events a client has that has counted `received`; it does not count those that could be other clients'. */
function alreadyGot(events: readonly StoredEvent[], received: number): number {
  let counted = 0
  for (const [index, { event }] of events.entries()) {
    if (counted >= received) return index
    if (!event.startsWith('client-')) counted += 1
  }
  return events.length
}
