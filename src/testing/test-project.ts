import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HandlerUse, RoutingPlan } from '../compiler/plan.ts'
import { decodeText } from '../config/decode-text.ts'
import { readDocument } from '../config/read-document.ts'
import type { SourceDocument } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { explainMessage } from '../engine/explain.ts'
import { draftBlueprint, handlersOf } from '../runtime/blueprint.ts'
import { HandlerModules } from '../runtime/handler-modules.ts'
import { encodeMessage } from './encode-message.ts'
import { Recorder } from './recorder.ts'
import type { TestOptions } from './run-tests.ts'
import { type CompleteMessage, casesOf, completeGiven, handlerNames, type TestCase } from './test-file.ts'

/** A project compiled on recording ports, with its test files read. */
export interface TestProject {
  readonly problems: readonly Problem[]
  readonly sources: ReadonlyMap<string, string>
  readonly plan: RoutingPlan
  readonly recorder: Recorder
  readonly files: readonly { readonly document: SourceDocument; readonly cases: readonly TestCase[] }[]
  /** Ids of all routes, in file order. */
  readonly routes: readonly string[]
  /** Handlers that routes invoke: modules, and `module#export` where it is not the default. */
  readonly handlers: readonly string[]
  /** Routes, tests, schemas, handlers and what they import: relative to the root, or absolute. */
  readonly readFiles: readonly string[]
  close(): Promise<void>
}

export async function compileTestProject({ root, env, files }: TestOptions): Promise<TestProject> {
  let modules = HandlerModules.none
  const settings = { namesApp: false, defaultBroker: '' }
  const recorder = new Recorder({
    get namesApp() {
      return settings.namesApp
    },
    get defaultBroker() {
      return settings.defaultBroker
    },
    real: (module, exportName) => modules.get(module, exportName),
    realBatch: (module, exportName) => modules.getBatch(module, exportName),
  })
  const { project, plan, ...draft } = await draftBlueprint({ root, env, mode: 'validate', ports: recorder.ports })
  settings.namesApp = project.router.server.apps.length > 1
  settings.defaultBroker = project.router.broker
  const sources = new Map(project.sources)
  const problems = draft.problems.filter(({ severity }) => severity === 'error')
  const documents = files.flatMap(file => readTestFile(root, file, env, sources, problems))
  const read = documents.map(document => ({ document, cases: casesOf(document) }))
  const uses = handlersOf(plan)
  const handlers = uses.flatMap(({ module, exportName }) => (exportName === 'default' ? [module] : [module, `${module}#${exportName}`]))
  if (problems.length === 0) {
    const loaded = await HandlerModules.load(root, realHandlers(plan, read))
    if (loaded instanceof HandlerModules) modules = loaded
    else problems.push(...loaded.faults.map(fault => handlerProblem(fault, uses)))
  }
  return {
    problems,
    sources,
    plan,
    recorder,
    files: read,
    routes: plan.subscriptions.flatMap(({ routes }) => routes.map(({ id }) => id)),
    handlers,
    readFiles: [...sources.keys(), ...project.eventSchemas.keys(), ...uses.map(({ module }) => module), ...modules.files],
    close: async () => void (await modules.retire()),
  }
}

function readTestFile(
  root: string,
  file: string,
  env: NodeJS.ProcessEnv,
  sources: Map<string, string>,
  problems: Problem[],
): readonly SourceDocument[] {
  const decoded = decodeText(file, readFileSync(join(root, file)))
  if ('problem' in decoded) {
    problems.push(decoded.problem)
    return []
  }
  sources.set(file, decoded.text)
  const result = readDocument({ file, text: decoded.text, schema: 'tests', env, mode: 'validate' })
  problems.push(...result.problems.filter(({ severity }) => severity === 'error'))
  return result.document === undefined ? [] : [result.document]
}

/** Handlers that some case reaches without a mock. Others are not loaded: they may need what is not there. */
function realHandlers(plan: RoutingPlan, files: TestProject['files']): readonly HandlerUse[] {
  const real = new Set<HandlerUse>()
  for (const { document, cases } of files)
    for (const { given, mocks } of cases) {
      const mocked = new Set(Object.keys(mocks).flatMap(written => handlerNames(document.file, written)))
      for (const use of handlersReached(plan, completeGiven(plan, document.file, given) ?? []))
        if (!mocked.has(use.module) && !mocked.has(`${use.module}#${use.exportName}`)) real.add(use)
    }
  return [...real]
}

function handlersReached(plan: RoutingPlan, given: readonly CompleteMessage[]): readonly HandlerUse[] {
  return given.flatMap(message =>
    plan.subscriptions.flatMap(subscription => {
      const { routes, unmatched } = explainMessage([subscription], encodeMessage(subscription.envelope, message, message.topic, 0))
      const steps = [...routes.flatMap(route => route.steps), ...(unmatched?.steps ?? [])]
      return steps.flatMap(({ action }) => action.action.handler ?? [])
    }),
  )
}

function handlerProblem({ module, message }: { module: string; message: string }, uses: ReturnType<typeof handlersOf>): Problem {
  const use = uses.find(one => one.module === module)
  const hint = 'Mock it in every test, or make it load'
  const place = use === undefined ? { file: module } : { file: use.file, range: use.range }
  return { code: 'handler-invalid', severity: 'error', message: `The handler ${module} cannot be loaded: ${message}`, hint, ...place }
}
