import type { BatchHandler, Handler, HandlerLog } from '../../src/actions/handler.ts'
import type { ActionPorts, HttpAnswer, HttpPort, HttpRequest } from '../../src/actions/ports.ts'
import type { OutgoingRecord } from '../../src/brokers/broker.ts'
import type { Attempt, RoutePlan, SourceRecord } from '../../src/compiler/plan.ts'
import type { Scope } from '../../src/compiler/scope.ts'
import { type CompileOptions, compileFiles, compileOne } from '../compiler/compile-files.ts'
import { scopeOf } from '../compiler/scopes.ts'

export interface Recorded {
  readonly broadcasts: { app: string; channel: string; event: string; data: unknown; except: string | undefined }[]
  readonly asked: string[]
  readonly emits: { broker: string; record: OutgoingRecord }[]
  readonly requests: HttpRequest[]
  readonly logs: [string, object, string][]
}

export interface RunningOptions extends CompileOptions {
  /** Channels somebody listens to; default: all. */
  readonly heard?: (channel: string) => boolean
  /** Default: requests are noted, and answered with 204. */
  readonly http?: HttpPort
  /** By `module#export`. */
  readonly code?: Readonly<Record<string, Handler>>
  readonly batchCode?: Readonly<Record<string, BatchHandler>>
}

/** Compiles the given actions into one route and runs them against ports that note what happens. */
export function running(actions: readonly unknown[], options: RunningOptions = {}) {
  const recorded: Recorded = { broadcasts: [], asked: [], emits: [], requests: [], logs: [] }
  const plan = compileOne(routeFile(actions), { ...options, ports: recordingPorts(recorded, options) })
  const [route] = plan.routes
  if (route === undefined) throw new Error('no route')
  return {
    recorded,
    summaries: route.actions.map(({ action }) => action.summary),
    handlers: route.actions.map(({ action }) => action.handler),
    render(fields: Partial<Scope> = {}, position = 0): unknown {
      const scope = scopeOf(fields)
      return route.actions[position]?.action.render(scope, attemptOf(route, scope, { position }))
    },
    /** One call with a message for each of `many`. */
    async call(many: readonly Partial<Scope>[], signal = new AbortController().signal) {
      const members = many.map(fields => {
        const scope = scopeOf(fields)
        return { scope, attempt: attemptOf(route, scope, { position: 0 }) }
      })
      return await route.actions[0]?.action.batch?.call(members, signal)
    },
    run(fields: Partial<Scope> = {}, attempt: Partial<Attempt> = {}, position = 0): unknown {
      const scope = scopeOf(fields)
      return route.actions[position]?.action.run(scope, attemptOf(route, scope, { position, ...attempt }))
    },
  }
}

/** The compiler's problems with the given actions. */
export function actionProblems(actions: readonly unknown[], options: CompileOptions = {}) {
  return compileFiles({ 'routes/orders.yaml': routeFile(actions) }, options).problems.map(({ code, message, hint }) => ({
    code,
    message,
    hint,
  }))
}

export function recordOf(fields: Partial<SourceRecord> = {}): SourceRecord {
  return {
    topic: 'orders',
    partition: 0,
    offset: 7,
    timestamp: 1_893_456_000_000,
    key: null,
    value: Buffer.from('{}'),
    headers: {},
    ...fields,
  }
}

function routeFile(actions: readonly unknown[]): string {
  return JSON.stringify({ topics: 'orders', routes: { one: { actions } } })
}

function attemptOf(route: RoutePlan, scope: Scope, fields: Partial<Attempt>): Attempt {
  return {
    number: 1,
    signal: new AbortController().signal,
    route,
    position: 0,
    element: undefined,
    identity: scope.id ?? 'orders/0/7',
    origin: 'local:orders:0:7:one:0',
    broker: 'local',
    record: recordOf(),
    ...fields,
  }
}

function recordingPorts(recorded: Recorded, options: RunningOptions): ActionPorts {
  const log = (level: string) => (details: object, message: string) => void recorded.logs.push([level, details, message])
  const handlerLog: HandlerLog = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
  return {
    log: handlerLog,
    broadcast: {
      hasSubscribers(_, channel) {
        recorded.asked.push(channel)
        return options.heard?.(channel) ?? true
      },
      broadcast: (app, channel, event, data, except) => void recorded.broadcasts.push({ app, channel, event, data, except }),
    },
    emit: {
      async emit(broker, record) {
        recorded.emits.push({ broker, record })
      },
    },
    http: options.http ?? {
      async send(request): Promise<HttpAnswer> {
        recorded.requests.push(request)
        return { status: 204, headers: {}, body: null }
      },
    },
    handlers: {
      get: (module, exportName) => options.code?.[`${module}#${exportName}`],
      getBatch: (module, exportName) => options.batchCode?.[`${module}#${exportName}`],
    },
  }
}
