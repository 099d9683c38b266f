import { createLogger } from './observe/logger.ts'
import { startRouter } from './runtime/router.ts'
import type { RouterOptions, RunningRouter } from './runtime/router-options.ts'

export {
  type BatchContext,
  type BatchHandler,
  type BatchItem,
  defineBatchHandler,
  defineHandler,
  drop,
  type Handler,
  type HandlerContext,
  type HandlerEvent,
  PermanentError,
} from './actions/handler.ts'
export { BrokerError, type BrokerErrorCode } from './brokers/broker.ts'
export type { ChannelFeed } from './config/channel-subscriptions.ts'
export type { Position, Problem, ProblemCode, Severity, SourceRange } from './diagnostics/problem.ts'
export { type Authorize, type AuthorizeAnswer, type AuthorizeRequest, defineAuthorize } from './realtime/authorize.ts'
export type { OutgoingEvent, ReloadResult, RouterAddress, RunningRouter, StopResult } from './runtime/router-options.ts'
export { StartError, type StartErrorCode } from './runtime/start-error.ts'

/** `createRouter` options: `root` is needed, the rest has the defaults of `router run`. */
export type CreateRouterOptions = Pick<RouterOptions, 'root'> & Partial<Omit<RouterOptions, 'root'>>

/**
 * Runs a project inside your own process: the same as `router run`, without the command. Resolves once the server listens; await
 * `ready` for the consumers. Stopping is yours: call `stop()` on your signals.
 *
 * Throws `StartError`: with code `problems` it holds every problem of the configuration.
 */
export async function createRouter(options: CreateRouterOptions): Promise<RunningRouter> {
  const secrets = new Set<string>()
  return await startRouter({
    mode: 'run',
    env: process.env,
    log: createLogger({ level: 'info', pretty: false, redact: () => [...secrets] }),
    ...options,
    onSecrets: values => {
      for (const value of values) secrets.add(value)
      options.onSecrets?.(values)
    },
  })
}
