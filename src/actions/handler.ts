/** The message a handler gets. It is shared with the other routes: do not change it. */
export interface HandlerEvent<Data = unknown> {
  /** The envelope's or CloudEvent's id; undefined for messages without one. */
  readonly id: string | undefined
  /** CloudEvents `source`; undefined for other envelopes. */
  readonly source: string | undefined
  /** Undefined for a message without an event name. */
  readonly event: string | undefined
  /** Undefined for a message without data, null where it says null, a Buffer for bytes that are not JSON. */
  readonly data: Data
  /** The record's key as UTF-8 text. */
  readonly key: string | undefined
  /** Header values as UTF-8 text. */
  readonly headers: Readonly<Record<string, string>>
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Epoch milliseconds. */
  readonly timestamp: number
}

/**
 * What a handler can do besides returning a value. Members may be taken out of it (`const { emit, signal } = ctx`), but most are made when they are
 * read: a copy by `{ ...ctx }` or Object.assign lacks them. Hand on `ctx` itself, or an object with the members by name.
 */
export interface HandlerContext {
  readonly log: HandlerLog
  /** Aborted when the attempt times out, its partition moves away or the router stops: pass it on to what you wait for. */
  readonly signal: AbortSignal
  /** Counts from 1. */
  readonly attempt: number
  /** The same for every attempt at this action on this message, on every instance: hand it to services that take one. */
  readonly idempotencyKey: string
  /** `with:` beside the action, its templates rendered for this message. */
  readonly with: Readonly<Record<string, unknown>>
  /** Sends an event to the sockets of a channel. Throws once the attempt is over. */
  broadcast(channel: string, event: string, data: unknown, options?: BroadcastOptions): void | Promise<void>
  /** Writes a record; resolves when the broker has it. Rejects once the attempt is over. */
  emit(message: EmitMessage): Promise<void>
}

export interface BroadcastOptions {
  /** Needed where router.yaml has several apps. */
  readonly app?: string
  /** A socket id that does not get the event. */
  readonly except?: string
}

/** A record to write, in the router's own format unless `format` says otherwise. */
export interface EmitMessage {
  readonly topic: string
  /** Default: no key. */
  readonly key?: string
  /** The event's name. */
  readonly event?: string
  readonly data: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Default: derived from the message and the action, stable over retries. */
  readonly id?: string
  /** Default: `event`. */
  readonly format?: EmitFormat
  /** A name from router.yaml; default: the broker the message came from. */
  readonly broker?: string
}

/** `event`: `{ id, event, data }`; `cloudevents`: structured JSON; `raw`: the data alone. */
export type EmitFormat = 'event' | 'cloudevents' | 'raw'

export interface HandlerLog {
  debug(details: object, message: string): void
  info(details: object, message: string): void
  warn(details: object, message: string): void
  error(details: object, message: string): void
}

/**
 * A handler module's default export (or the one named after `#`). What it returns, or resolves to, is kept under the action's
 * `as`. It may throw: the action is tried again as its `retry` says, unless the error is named `PermanentError`.
 */
export type Handler<Data = unknown> = (event: HandlerEvent<Data>, context: HandlerContext) => unknown

/** Gives a handler its types: `export default defineHandler<OrderCreated>(async (event, ctx) => ...)`. */
export function defineHandler<Data = unknown>(handler: Handler<Data>): Handler<Data> {
  return handler
}

/** One message of a batch. */
export interface BatchItem<Data = unknown> {
  readonly event: HandlerEvent<Data>
  /** For this message alone: its attempt, its idempotency key, `broadcast` and `emit`. */
  readonly context: HandlerContext
  /**
   * This message failed: it is tried again, unless the error is named `PermanentError`. Later messages of its key in the batch are given to the
   * handler again after it, also those that it has worked on, and no attempt of theirs is used up. Needs no `this`.
   */
  readonly fail: (error: unknown) => void
}

export interface BatchContext {
  readonly log: HandlerLog
  /** Aborted when the call times out, and when no message of it is waited for any more. */
  readonly signal: AbortSignal
}

/**
 * A handler that a route calls with `batch:`. Messages of one key stand in their order. It may return a list with a result for each message, in
 * the order of the items. If it throws, every message fails that it has not called `fail` for.
 */
export type BatchHandler<Data = unknown> = (items: readonly BatchItem<Data>[], context: BatchContext) => unknown

/** Gives a batch handler its types: `export default defineBatchHandler<OrderCreated>(async items => ...)`. */
export function defineBatchHandler<Data = unknown>(handler: BatchHandler<Data>): BatchHandler<Data> {
  return handler
}

/** Found by its registered symbol: a handler may have loaded another copy of this module. */
const dropMark = Symbol.for('signalbox.drop')

/** Returned by a handler to end its route quietly. */
export interface Drop {
  readonly [dropMark]: true
}

const dropped: Drop = Object.freeze({ [dropMark]: true as const })

/** `return drop()` ends the route for this message: no further action, no error. */
export function drop(): Drop {
  return dropped
}

export function isDrop(value: unknown): value is Drop {
  return typeof value === 'object' && value !== null && dropMark in value && value[dropMark] === true
}

/** Thrown by a handler where trying again cannot help. The router goes by the name, so that any error named so counts. */
export class PermanentError extends Error {
  override readonly name = 'PermanentError'
  readonly permanent = true
}
