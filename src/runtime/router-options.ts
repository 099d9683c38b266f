import type { ChannelFeed } from '../config/channel-subscriptions.ts'
import type { NewsListener } from '../inspector/inspector.ts'
import type { Logger } from '../observe/logger.ts'
import type { ReloadResult } from '../reload/reload-result.ts'

export type { ReloadResult } from '../reload/reload-result.ts'

export interface RouterOptions {
  /** The project's folder: where router.yaml and routes/ are. */
  readonly root: string
  /** `dev`: an embedded broker answers to every name, and missing secrets are made up. `run`: the brokers of router.yaml. */
  readonly mode: 'dev' | 'run'
  /** Where `${NAME}` is looked up. */
  readonly env: NodeJS.ProcessEnv
  readonly log: Logger
  /** The broker of files that name none, instead of router.yaml's; in `dev` it also means: use real brokers. */
  readonly broker?: string | undefined
  /** Feeds these channels from topics of their own instead of reading route files. */
  readonly channels?: ChannelFeed | undefined
  /** Most messages taken at once, above every file's `batch.size`. */
  readonly batchSize?: number | undefined
  /** Longest wait for a fetch on a quiet topic in ms, above every file's `batch.timeout`. */
  readonly timeoutMs?: number | undefined
  /** Stops after this many messages; undefined or 0: no limit. */
  readonly maxMessages?: number | undefined
  /** Stops once every topic is read to its end. */
  readonly stopWhenEmpty?: boolean | undefined
  /** Instead of router.yaml's `server.port`; 0: any free one. */
  readonly port?: number | undefined
  /** Serves the inspector page on this port of 127.0.0.1 (0: any free one); `token` allows publishing through it. */
  readonly inspector?: InspectorSettings | undefined
  /** Follows edits of the project's files. Default: true. */
  readonly watch?: boolean | undefined
  /** Stops the router when it aborts, as `stop()` does; also while it still starts, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** How every edit ended that changed something. */
  readonly onReload?: ((result: ReloadResult) => void) | undefined
  /** Secret values that the configuration holds, each time it is read: what a log must not show. */
  readonly onSecrets?: ((secrets: readonly string[]) => void) | undefined
}

export interface InspectorSettings {
  readonly port: number
  readonly token: string
  /** The page asks for the token too. Default: only what sends does. */
  readonly isGuarded?: boolean | undefined
  /** What happens to messages, a few times a second: for a terminal's lines. */
  readonly onNews?: NewsListener | undefined
}

export interface RouterAddress {
  readonly host: string
  readonly port: number
  readonly admin?: { readonly host: string; readonly port: number }
  readonly inspector?: { readonly host: string; readonly port: number }
}

/** An event to write to a topic as `{ id, event, data }`. */
export interface OutgoingEvent {
  readonly topic: string
  readonly event: string
  readonly data: unknown
  readonly key?: string
  readonly id?: string
}

export interface StopResult {
  /** What had not ended when `shutdown.grace` was over, in words, and was not waited for. Empty after a stop that went well. */
  readonly cut: readonly string[]
}

export interface RunningRouter {
  readonly address: RouterAddress
  /** Resolves when every subscription has joined its group for the first time. */
  readonly ready: Promise<void>
  /** Resolves when the router has stopped, by itself (`maxMessages`, `stopWhenEmpty`) or by `stop()`. */
  readonly done: Promise<StopResult>
  /** Writes an event to the default broker. Rejects with BrokerError. */
  publish(event: OutgoingEvent): Promise<void>
  /** Reads the project again, as an edit would. */
  reload(): Promise<ReloadResult>
  /** Stops fetching, lets running work end, commits, closes the sockets: all of it within `shutdown.grace`. `done` says how that went. Idempotent. */
  stop(): Promise<void>
}
