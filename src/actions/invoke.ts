import type { ActionSource, ActionType, DataSource } from '../compiler/action-type.ts'
import { ActionSignal, type Attempt, type BatchUse, type CompiledAction, type HandlerUse } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { isMap } from '../compiler/source-section.ts'
import { handlerExtensions, splitHandlerPath } from '../config/handler-path.ts'
import { callBatch } from './batch-call.ts'
import { type HandlerEvent, isDrop, PermanentError } from './handler.ts'
import { AttemptContext } from './handler-context.ts'
import type { ActionPorts } from './ports.ts'

/** `invoke`: calls a handler module. Synchronous where the handler is. */
export function invokeAction(ports: ActionPorts): ActionType {
  return {
    key: 'invoke',
    compile(source) {
      const target = readTarget(source)
      const parameters = readParameters(source)
      const isWhole = !source.siblings.has('with') || parameters !== undefined
      return target === undefined || !isWhole ? undefined : build(ports, target, parameters, onlyApp(source), readBatch(source))
    },
  }
}

function readTarget(source: ActionSource): HandlerUse | undefined {
  const { section } = source
  const isShort = typeof source.value === 'string'
  const path = isShort ? source.path : section.pathOf('handler')
  const written = isShort ? source.siblings.text('invoke') : section.text('handler')
  if (!isShort && !section.has('handler') && section.report.document.isSound(source.path))
    source.report(source.path, 'schema-missing-key', 'An invoke needs a handler', 'Add handler: ../handlers/receipt.ts')
  if (written === undefined) return undefined
  const { file, exportName } = splitHandlerPath(written)
  if (exportName === '') {
    source.report(
      path,
      'handler-invalid',
      'The name of the export is missing after #',
      'Write receipt.ts#sendReceipt, or leave out the # for the default export',
    )
    return undefined
  }
  const module = source.projectPath(path, file)
  if (module === undefined) return undefined
  if (!handlerExtensions.some(extension => module.endsWith(extension))) {
    source.report(path, 'handler-invalid', `${module} is not a handler module`, `Handlers are ${handlerExtensions.join(' ')} files`)
    return undefined
  }
  if (!source.fileExists(module)) {
    source.report(path, 'handler-missing', `The handler ${module} does not exist`, 'Paths are relative to the route file')
    return undefined
  }
  const { document } = section.report
  return { module, exportName, file: document.file, range: document.rangeOf(path) }
}

type BatchLimits = Pick<BatchUse, 'size' | 'waitMs'>

function readBatch({ section }: ActionSource): BatchLimits | undefined {
  if (!section.has('batch')) return undefined
  const batch = section.section('batch')
  return { size: batch.count('size') ?? 100, waitMs: batch.duration('wait') ?? 10 }
}

function readParameters(source: ActionSource): DataSource | undefined {
  const { siblings } = source
  if (!siblings.isReadable('with')) return undefined
  const value = siblings.value('with')
  if (isMap(value)) return source.data(siblings.pathOf('with'), value)
  source.report(siblings.pathOf('with'), 'schema-type', '`with` must be a map of parameters')
  return undefined
}

/** Handlers may leave the app out where there is only one. */
function onlyApp(source: ActionSource): string | undefined {
  return source.apps.length === 1 ? source.apps[0] : undefined
}

const noParameters = Object.freeze({})
const dropSignal = new ActionSignal('drop', 'handler')

function build(
  ports: ActionPorts,
  target: HandlerUse,
  parameters: DataSource | undefined,
  app: string | undefined,
  limits: BatchLimits | undefined,
): CompiledAction {
  const { module, exportName } = target
  const name = exportName === 'default' ? module : `${module}#${exportName}`
  const contextOf = (scope: Scope, attempt: Attempt) => {
    const rendered = parameters?.render(scope)
    return new AttemptContext(ports, scope, attempt, isMap(rendered) ? rendered : noParameters, app)
  }
  const called = limits === undefined ? name : `${name} (up to ${limits.size} at once, within ${limits.waitMs} ms)`
  return {
    kind: 'invoke',
    summary: `invoke ${called}`,
    handler: target,
    targets: [],
    render: scope => [
      {
        action: 'invoke',
        handler: name,
        ...(parameters === undefined ? {} : { with: parameters.render(scope) }),
        ...(limits === undefined ? {} : { batch: { size: limits.size, wait: `${limits.waitMs}ms` } }),
      },
    ],
    run(scope, attempt) {
      // Looked up at each attempt: a retry takes the newest code of the handler.
      const handler = ports.handlers.get(module, exportName)
      if (handler === undefined) throw new PermanentError(`the handler ${name} could not be loaded or exports no function`)
      const result = handler(handlerEvent(scope), contextOf(scope, attempt))
      return isPromiseLike(result) ? result.then(outcome) : outcome(result)
    },
    ...(limits === undefined
      ? {}
      : {
          batch: {
            ...limits,
            call: (members, signal) =>
              callBatch({
                name,
                handler: ports.handlers.getBatch(module, exportName),
                log: ports.log,
                signal,
                members,
                itemOf: ({ scope, attempt }) => ({ event: handlerEvent(scope), context: contextOf(scope, attempt) }),
                outcome,
              }),
          },
        }),
  }
}

function outcome(result: unknown): unknown {
  return isDrop(result) ? dropSignal : result
}

function handlerEvent(scope: Scope): HandlerEvent {
  const { id, source, event, data, key, headers, topic, partition, offset, timestamp } = scope
  return { id, source, event, data, key, headers, topic, partition, offset, timestamp }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
