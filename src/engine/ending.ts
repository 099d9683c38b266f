import type { RunEnd, Unsettled } from './execution.ts'

/** Work that could not end at once. It ends some time, and never fails. */
export interface Ending {
  /** Nothing has been done so far: it waits for its claim. */
  readonly waitsForClaim?: boolean
  /** Tells the one listener how it ended, once; at once where that is known already. */
  whenEnded(listener: (end: RunEnd) => void): void
}

/** What has begun: it goes on, or has ended but for its dead letter. Undefined: it is settled. */
export type Begun = Ending | Unsettled | undefined

/** An end that is known, or will be: a promise that never rejects. The listener is told soon, not at once: ends in a row are no recursion. */
export function endingOf(end: RunEnd | Promise<RunEnd>): Ending {
  const known = Promise.resolve(end)
  return { whenEnded: listener => void known.then(listener) }
}

export function begunOf(end: RunEnd | Promise<RunEnd>): Begun {
  if (end === 'settled') return undefined
  return typeof end === 'object' && isUnsettled(end) ? end : endingOf(end)
}

export function isUnsettled(begun: object): begun is Unsettled {
  return 'whenSettled' in begun
}
