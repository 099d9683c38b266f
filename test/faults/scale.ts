/** `npm run faults` runs every fault at full scale, `npm test` at a small one. */
const isFull = process.env['SIGNALBOX_FAULTS'] === 'full'

export function scaled<T>(small: T, full: T): T {
  return isFull ? full : small
}
