/** `npm run faults` runs every fault at full scale, `npm test` at a small one. */
const isFull = process.env['SIGNALBOX_FAULTS'] === 'full'

export function scaled<T>(small: T, full: T): T {
  return isFull ? full : small
}

/** Only a fault that was not mended meets it; a busy machine needs its time. In ms. */
export const patienceMs = scaled(90_000, 400_000)

/** For tests as a whole. */
export const testLimitMs = scaled(180_000, 900_000)
