import type { ActionPorts } from '../../src/actions/ports.ts'
import { actionTypes } from '../../src/actions/registry.ts'
import { compilePlan } from '../../src/compiler/compile-plan.ts'
import type { RoutingPlan, SubscriptionPlan } from '../../src/compiler/plan.ts'
import { readDocument } from '../../src/config/read-document.ts'
import { readRouterConfig } from '../../src/config/read-router-config.ts'
import type { RouterConfig } from '../../src/config/router-config.ts'
import type { Problem } from '../../src/diagnostics/problem.ts'

const silentPorts: ActionPorts = {
  broadcast: { hasSubscribers: () => false, broadcast: () => {} },
  emit: { emit: async () => {} },
  handlers: { get: () => undefined, getBatch: () => undefined },
  http: { send: async () => null },
  log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
}

export interface CompileOptions {
  readonly router?: Partial<RouterConfig>
  readonly apps?: readonly string[]
  readonly schemas?: Readonly<Record<string, unknown>>
  /** Relative to the project's root. */
  readonly handlers?: readonly string[]
  readonly ports?: Partial<ActionPorts>
}

export interface Compiled {
  readonly plan: RoutingPlan
  /** Of the compiler alone. */
  readonly problems: readonly Problem[]
  /** Of the schema check that came before. */
  readonly schemaProblems: readonly Problem[]
}

/** Reads route files as the router does and compiles them: file name to YAML. */
export function compileFiles(files: Readonly<Record<string, string>>, options: CompileOptions = {}): Compiled {
  const schemaProblems: Problem[] = []
  const routeFiles = Object.entries(files).map(([file, text]) => {
    const { document, problems } = readDocument({ file, text, schema: 'routes', env: {}, mode: 'validate' })
    schemaProblems.push(...problems)
    if (document === undefined) throw new Error(`${file} cannot be read: ${problems.map(describe).join()}`)
    return document
  })
  const input = {
    router: { ...routerConfig(options.apps ?? ['app']), ...options.router },
    routeFiles,
    eventSchemas: new Map(Object.entries(options.schemas ?? {})),
    fileExists: (relative: string) => options.handlers?.includes(relative) ?? false,
  }
  return { ...compilePlan(input, actionTypes({ ...silentPorts, ...options.ports })), schemaProblems }
}

/** Compiles one file that must be without problems. */
export function compileOne(text: string, options: CompileOptions = {}): SubscriptionPlan {
  const { plan, problems, schemaProblems } = compileFiles({ 'routes/orders.yaml': text }, options)
  // What can never match still compiles: it is looked at here like any other condition.
  const [first] = [...schemaProblems, ...problems].filter(({ code }) => code !== 'when-never')
  if (first !== undefined) throw new Error(`unexpected problem: ${describe(first)}`)
  const [subscription] = plan.subscriptions
  if (subscription === undefined) throw new Error('the file is disabled')
  return subscription
}

/** The compiler's problems of one file, as `line:column code message`. */
export function problemsOf(text: string, options: CompileOptions = {}): readonly string[] {
  return compileFiles({ 'routes/orders.yaml': text }, options).problems.map(describe)
}

export function describe({ code, message, range }: Problem): string {
  return `${range?.start.line}:${range?.start.column} ${code} ${message}`
}

function routerConfig(apps: readonly string[]): RouterConfig {
  const { config } = readRouterConfig('/shop', undefined, 'validate', () => false)
  return {
    ...config,
    brokers: { local: { type: 'memory', partitions: 1 }, kafka: { type: 'kafka', brokers: ['localhost:9092'], consumer: {} } },
    server: { ...config.server, apps: apps.map(id => ({ id, key: `${id}-key`, secret: undefined })) },
  }
}
