import { createLogger, type Logger } from '../observe/logger.ts'
import { startRouter } from '../runtime/router.ts'
import type { RouterOptions, RunningRouter } from '../runtime/router-options.ts'
import { onStopSignal } from './stop-signals.ts'

export interface SessionOptions {
  readonly router: Omit<RouterOptions, 'env' | 'log' | 'onReload' | 'onSecrets'>
  readonly logLevel: string
  /** Lines for people instead of JSON. */
  readonly prettyLog: boolean
  readonly onReload: (result: Reload, log: Logger) => void
  readonly onStarted: (router: RunningRouter, log: Logger) => void
}

type Reload = Parameters<NonNullable<RouterOptions['onReload']>>[0]

/** Modules of the project may leave connections open; the process ends all the same this long after the router has stopped. */
const lingerMs = 2_000

/** Runs a router until it ends by itself or a signal stops it. Rejects with StartError. */
export async function runRouter({ router: options, logLevel, prettyLog, onReload, onStarted }: SessionOptions): Promise<void> {
  let secrets: readonly string[] = []
  const log = createLogger({ level: logLevel, pretty: prettyLog, redact: () => secrets })
  const stopRequested = new AbortController()
  onStopSignal(signal => {
    log.info({ signal }, 'stopping; a second signal ends the process at once')
    stopRequested.abort()
  })
  const router = await startRouter({
    ...options,
    env: process.env,
    log,
    onReload: result => onReload(result, log),
    onSecrets: values => {
      secrets = [...new Set([...secrets, ...values])]
    },
  })
  const stopped = stoppedBy(stopRequested.signal, router)
  if (!stopRequested.signal.aborted) onStarted(router, log)
  await Promise.race([stopped, router.done])
  setTimeout(() => {
    log.warn('something in the project is still open: ending the process')
    process.exit()
  }, lingerMs).unref()
}

function stoppedBy(signal: AbortSignal, router: RunningRouter): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => router.stop().then(resolve, reject)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
