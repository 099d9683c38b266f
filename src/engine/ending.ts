import type { RunEnd } from './execution.ts'

/** Work that could not end at once. It ends some time, and never fails. */
export interface Ending {
  /** Nothing has been done so far: it waits for its claim. */
  readonly waitsForClaim?: boolean
  /** Tells the one listener how it ended, once; at once where that is known already. */
  whenEnded(listener: (end: RunEnd) => void): void
}

/** An end that is known, or will be: a promise that never rejects. The listener is told soon, not at once: ends in a row are no recursion. */
export function endingOf(end: RunEnd | Promise<RunEnd>): Ending {
  const known = Promise.resolve(end)
  return { whenEnded: listener => void known.then(listener) }
}
