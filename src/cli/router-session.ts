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

/** Runs a router until it ends by itself or a signal stops it; sets exit code 1 where the stop had to cut something off. Rejects with StartError. */
export async function runRouter({ router: options, logLevel, prettyLog, onReload, onStarted }: SessionOptions): Promise<void> {
  let secrets: readonly string[] = []
  const log = createLogger({ level: logLevel, pretty: prettyLog, redact: () => secrets })
  const stopRequested = new AbortController()
  const { signal } = stopRequested
  onStopSignal(name => {
    log.info({ signal: name }, 'stopping; a second signal ends the process at once')
    stopRequested.abort()
  })
  const router = await unlessStopped(
    signal,
    startRouter({
      ...options,
      env: process.env,
      log,
      signal,
      onReload: result => onReload(result, log),
      onSecrets: values => {
        secrets = [...new Set([...secrets, ...values])]
      },
    }),
  )
  if (router !== undefined) {
    if (!signal.aborted) onStarted(router, log)
    const { cut } = await router.done
    // What was cut off may hold the process for as long as it likes.
    if (cut.length > 0) process.exit(1)
  }
  setTimeout(() => {
    log.warn('something in the project is still open: ending the process')
    process.exit()
  }, lingerMs).unref()
}

/** Undefined where a signal has stopped the router before it had started. */
async function unlessStopped(signal: AbortSignal, starting: Promise<RunningRouter>): Promise<RunningRouter | undefined> {
  try {
    return await starting
  } catch (error) {
    if (signal.aborted && error === signal.reason) return undefined
    throw error
  }
}
