import type { Attempt } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { type EmitMessage, type HandlerContext, type HandlerLog, PermanentError } from './handler.ts'
import { derivedId, formatRecord } from './outgoing-event.ts'
import type { ActionPorts } from './ports.ts'

/**
 * What a handler gets beside the event, for one attempt. Most handlers use little of it: what costs is made when it is read. Its functions may
 * be taken out of it: they need no `this`.
 */
export class AttemptContext implements HandlerContext {
  readonly log: HandlerLog
  readonly attempt: number
  readonly with: Readonly<Record<string, unknown>>
  readonly #ports: ActionPorts
  readonly #scope: Scope
  readonly #attempt: Attempt
  readonly #onlyApp: string | undefined
  #emitted = 0

  constructor(
    ports: ActionPorts,
    scope: Scope,
    attempt: Attempt,
    parameters: Readonly<Record<string, unknown>>,
    onlyApp: string | undefined,
  ) {
    this.log = ports.log
    this.attempt = attempt.number
    this.with = parameters
    this.#ports = ports
    this.#scope = scope
    this.#attempt = attempt
    this.#onlyApp = onlyApp
  }

  get signal(): AbortSignal {
    return this.#attempt.signal
  }

  get idempotencyKey(): string {
    const { identity, route, position, element } = this.#attempt
    const key = `${identity}#${route.id}#${position}`
    return element === undefined ? key : `${key}#${element}`
  }

  get broadcast(): HandlerContext['broadcast'] {
    return (channel, event, data, options) => {
      refuseAfterEnd(this.#attempt)
      const app = options?.app ?? this.#onlyApp
      if (app === undefined) throw new PermanentError('ctx.broadcast must name its app: router.yaml has several')
      const kept = this.#ports.broadcast.broadcast(app, channel, event, data, options?.except)
      // A handler need not wait for it.
      kept?.catch(() => {})
      return kept
    }
  }

  get emit(): HandlerContext['emit'] {
    return async message => {
      refuseAfterEnd(this.#attempt)
      const ordinal = this.#emitted++
      await this.#ports.emit.emit(message.broker ?? this.#attempt.broker, recordOf(message, this.#scope, this.#attempt, ordinal))
    }
  }
}

/** A handler that goes on after its time-out must not act beside the attempt that has taken its place. */
function refuseAfterEnd(attempt: Attempt): void {
  if (attempt.signal.aborted) throw new Error('the attempt is over: it timed out or was stopped', { cause: attempt.signal.reason })
}

function recordOf(message: EmitMessage, scope: Scope, attempt: Attempt, ordinal: number) {
  return formatRecord({
    topic: message.topic,
    key: message.key === undefined ? null : Buffer.from(message.key, 'utf8'),
    event: message.event,
    data: message.data,
    headers: message.headers ?? {},
    id: message.id ?? derivedId(attempt, ordinal),
    format: message.format ?? 'event',
    isTombstone: false,
    source: scope.source ?? encodeURI(`/${attempt.route.id}`),
    timestamp: scope.timestamp,
  })
}
