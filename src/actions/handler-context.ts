import type { Attempt } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { type EmitMessage, type HandlerContext, PermanentError } from './handler.ts'
import { derivedId, formatRecord } from './outgoing-event.ts'
import type { ActionPorts } from './ports.ts'

/** What a handler gets beside the event, for one attempt. Its functions may be taken out of it: they need no `this`. */
export function handlerContext(
  ports: ActionPorts,
  scope: Scope,
  attempt: Attempt,
  parameters: Readonly<Record<string, unknown>>,
  onlyApp: string | undefined,
): HandlerContext {
  let emitted = 0
  return {
    log: ports.log,
    get signal() {
      // Made by the engine only when somebody asks for it.
      return attempt.signal
    },
    attempt: attempt.number,
    idempotencyKey: idempotencyKey(attempt),
    with: parameters,
    broadcast(channel, event, data, options) {
      refuseAfterEnd(attempt)
      const app = options?.app ?? onlyApp
      if (app === undefined) throw new PermanentError('ctx.broadcast must name its app: router.yaml has several')
      const kept = ports.broadcast.broadcast(app, channel, event, data, options?.except)
      // A handler need not wait for it.
      kept?.catch(() => {})
      return kept
    },
    async emit(message) {
      refuseAfterEnd(attempt)
      const ordinal = emitted++
      await ports.emit.emit(message.broker ?? attempt.broker, recordOf(message, scope, attempt, ordinal))
    },
  }
}

/** A handler that goes on after its time-out must not act beside the attempt that has taken its place. */
function refuseAfterEnd(attempt: Attempt): void {
  if (attempt.signal.aborted) throw new Error('the attempt is over: it timed out or was stopped', { cause: attempt.signal.reason })
}

function idempotencyKey(attempt: Attempt): string {
  const key = `${attempt.identity}#${attempt.route.id}#${attempt.position}`
  return attempt.element === undefined ? key : `${key}#${attempt.element}`
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
