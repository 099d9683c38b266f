import type { Clock } from '../engine/ports.ts'

/** A timer of more fires at once (Node's limit: a signed 32-bit number of ms). */
const longestTimeoutMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  schedule(ms, callback) {
    let timer: NodeJS.Timeout
    const wait = (left: number) => {
      timer = setTimeout(() => (left > longestTimeoutMs ? wait(left - longestTimeoutMs) : callback()), Math.min(left, longestTimeoutMs))
    }
    wait(ms)
    return () => clearTimeout(timer)
  },
  yield(callback) {
    setImmediate(callback)
  },
}
