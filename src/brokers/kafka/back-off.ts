const FIRST_MS = 100

/** A broker that comes back is noticed within this and one connection attempt. */
const LONGEST_MS = 3_000

/** Doubles with each failure up to its cap, less up to half at random: instances do not all come back at the same moment. */
export function retryDelay(failures: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 10))
  return Math.round(full * (0.5 + Math.random() / 2))
}
