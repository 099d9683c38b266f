import { constants } from 'node:os'

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** npm passes on the signal that the terminal has already delivered: the same one this soon after the first is its echo. */
const echoMs = 250

/**
 * Calls `stop` at the first SIGINT or SIGTERM; a second one ends the process at once with 130 or 143. Listens until the process ends: an echo
 * that arrives when everything has stopped must not turn a good end into a kill.
 */
export function onStopSignal(stop: (signal: StopSignal) => void): void {
  let first: { readonly signal: StopSignal; readonly at: number } | undefined
  const receive = (signal: StopSignal) => {
    if (first === undefined) {
      first = { signal, at: performance.now() }
      stop(signal)
      return
    }
    if (signal === first.signal && performance.now() - first.at < echoMs) return
    process.exit(128 + constants.signals[signal])
  }
  process.on('SIGINT', receive)
  process.on('SIGTERM', receive)
}
