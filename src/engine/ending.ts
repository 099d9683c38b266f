import type { RunEnd } from './execution.ts'

/** Work that could not end at once. It ends some time, and never fails. */
export interface Ending {
  /** Nothing has been done so far: it waits for its claim. */
  readonly waitsForClaim?: boolean
  /** Tells the one listener how it ended, once; at once where that is known already. */
  whenEnded(listener: (end: RunEnd) => void): void
}

/** A promise that never rejects, as an ending. */
export function endingOf(promise: Promise<RunEnd>): Ending {
  return { whenEnded: listener => void promise.then(listener) }
}
