import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ActionPorts } from '../actions/ports.ts'
import type { HandlerUse, RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { ChannelFeed } from '../config/channel-subscriptions.ts'
import type { Project } from '../config/load-project.ts'
import type { BrokerConfig, RouterConfig } from '../config/router-config.ts'
import { hasErrors, type Problem } from '../diagnostics/problem.ts'
import type { FindModule } from '../realtime/ask-module.ts'
import { authorizersOf, type Blueprint, draftBlueprint, handlersOf } from './blueprint.ts'
import type { LifecycleLimits } from './handler-lifecycle.ts'
import { type HandlerFaults, HandlerModules } from './handler-modules.ts'
import { PlanHandlers } from './plan-handlers.ts'

/** One version of the configuration at work: everything in it was read, compiled and loaded together. */
export interface Generation {
  readonly number: number
  readonly project: Project
  readonly plan: RoutingPlan
  readonly handlers: HandlerModules
  readonly fingerprint: string
  readonly problems: readonly Problem[]
}

/** A try at a new generation: it is ready, or something is wrong with it, or nothing has changed. */
export type Draft =
  | { readonly kind: 'ready'; readonly generation: Generation }
  | {
      readonly kind: 'rejected'
      readonly problems: readonly Problem[]
      readonly sources: ReadonlyMap<string, string>
      readonly fingerprint: string
      /** It may be a file that is still being written. */
      readonly mayMend: boolean
    }
  | { readonly kind: 'unchanged' }

/** What actions reach; their handlers come with each generation. */
export type PortsBesideHandlers = Omit<ActionPorts, 'handlers'>

export interface GenerationsOptions {
  readonly root: string
  readonly env: NodeJS.ProcessEnv
  readonly mode: 'dev' | 'run'
  /** Flags, and in a running router what only a restart can change. */
  readonly adjust: (config: RouterConfig) => RouterConfig
  readonly overrides: PlanOverrides
  readonly handlerLimits: LifecycleLimits
  /** Feeds these channels instead of reading any route file. */
  readonly channels?: ChannelFeed | undefined
  readonly onSecrets: (secrets: readonly string[]) => void
}

/** Flags of `run` that stand above every file. */
export interface PlanOverrides {
  readonly batchSize?: number | undefined
  readonly timeoutMs?: number | undefined
}

/** How long a file may stay half written before that is called broken, in ms; looked at again this often while it changes. */
const halfWrittenMs = 200
const mostLooks = 5

/** Makes generations and holds the current one. Drafting changes nothing: only `adopt` does. */
export class Generations {
  readonly #options: GenerationsOptions
  #current: Generation | undefined
  #lastRejected: string | undefined

  constructor(options: GenerationsOptions) {
    this.#options = options
  }

  get current(): Generation | undefined {
    return this.#current
  }

  /** The current generation's `authorize` modules, looked up at each question. */
  readonly findAuthorize: FindModule = ({ module, exportName }) => this.#current?.handlers.getAuthorize(module, exportName)

  /** Rejects with the signal's reason when it aborts while handlers are set up. */
  async draft(ports: PortsBesideHandlers, signal: AbortSignal): Promise<Draft> {
    const { root, env, mode, adjust, channels, handlerLimits: limits } = this.#options
    const planHandlers = new PlanHandlers(() => this.#current?.handlers)
    const blueprint = await draftBlueprint({ root, env, mode, ports: { ...ports, handlers: planHandlers }, adjust, channels })
    this.#options.onSecrets(blueprint.project.secrets)
    const fingerprint = fingerprintOf(blueprint)
    const references = [...handlersOf(blueprint.plan), ...authorizersOf(blueprint.project.router)]
    const sameHandlers = this.#current?.handlers.isCurrentFor(references) ?? false
    if (sameHandlers && this.#current?.fingerprint === fingerprint) {
      this.#lastRejected = undefined
      return { kind: 'unchanged' }
    }
    if (hasErrors(blueprint.problems)) return this.#reject(blueprint, blueprint.problems, fingerprint, true)
    const handlers =
      sameHandlers && this.#current !== undefined ? this.#current.handlers : await HandlerModules.load(root, references, { limits, signal })
    if (!(handlers instanceof HandlerModules)) {
      const problems = [...blueprint.problems, ...handlerProblems(handlers, references)]
      return this.#reject(blueprint, problems, `${fingerprint} ${JSON.stringify(handlers)}`, handlers.stage === 'load')
    }
    planHandlers.loaded(handlers)
    const generation = {
      number: (this.#current?.number ?? 0) + 1,
      project: blueprint.project,
      plan: overridden(blueprint, this.#options),
      handlers,
      fingerprint,
      problems: blueprint.problems,
    }
    return { kind: 'ready', generation }
  }

  /**
   * The same after an edit. Some editors empty a file before they write it, or write it in parts: what is broken must still be so a moment later.
   * `signal` ends the waiting.
   */
  async settledDraft(ports: PortsBesideHandlers, signal: AbortSignal): Promise<Draft> {
    let draft = await this.draft(ports, signal)
    for (let look = 0; draft.kind === 'rejected' && draft.mayMend && look < mostLooks; look++) {
      await sleep(halfWrittenMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return { kind: 'unchanged' }
      const next = await this.draft(ports, signal)
      const isStillBroken = next.kind === 'unchanged' && this.#lastRejected === draft.fingerprint
      if (isStillBroken) break
      draft = next
    }
    return draft
  }

  /** Makes a draft the current generation, and returns the one it replaces. */
  adopt(generation: Generation): Generation | undefined {
    const previous = this.#current
    this.#current = generation
    this.#lastRejected = undefined
    return previous
  }

  /** The same broken files are told about once. */
  #reject({ project }: Blueprint, problems: readonly Problem[], fingerprint: string, mayMend: boolean): Draft {
    if (this.#lastRejected === fingerprint) return { kind: 'unchanged' }
    this.#lastRejected = fingerprint
    return { kind: 'rejected', problems, sources: project.sources, fingerprint, mayMend }
  }
}

/** Each at the first place that names its module. */
function handlerProblems({ faults }: HandlerFaults, references: readonly HandlerUse[]): readonly Problem[] {
  return faults.flatMap(({ module, message }) =>
    references
      .filter(reference => reference.module === module)
      .slice(0, 1)
      .map(
        ({ file, range }): Problem => ({
          code: 'handler-invalid',
          severity: 'error',
          file,
          range,
          message: `the handler ${module} cannot be used: ${message}`,
        }),
      ),
  )
}

/** Longest wait for a fetch on a quiet topic where nobody says, in ms. In `dev` the broker's own: its consumers come and go with every edit. */
const usualTimeoutMs = 1_000

function overridden({ plan, project }: Blueprint, { mode, overrides }: GenerationsOptions): RoutingPlan {
  const { batchSize, timeoutMs } = overrides
  const override = (subscription: SubscriptionPlan): SubscriptionPlan => {
    const { size, timeoutMs: ofFile } = subscription.batch
    const usual = mode === 'dev' || saysHowLong(project.router.brokers[subscription.broker]) ? undefined : usualTimeoutMs
    return { ...subscription, batch: { size: batchSize ?? size, timeoutMs: timeoutMs ?? ofFile ?? usual } }
  }
  return { subscriptions: plan.subscriptions.map(override) }
}

function saysHowLong(broker: BrokerConfig | undefined): boolean {
  return broker?.type === 'kafka' && broker.consumer['fetch.max.wait.ms'] !== undefined
}

/** Changes when any file that was read changes, and when an environment variable in it does. */
function fingerprintOf({ project, problems }: Blueprint): string {
  const hash = createHash('sha256')
  for (const [file, text] of [...project.sources].toSorted(([a], [b]) => (a < b ? -1 : 1))) hash.update(JSON.stringify([file, text]))
  for (const [file, schema] of project.eventSchemas) hash.update(JSON.stringify([file, schema]))
  hash.update(JSON.stringify([project.router, problems]))
  return hash.digest('hex')
}

/** Names of the subscriptions whose own file differs, or all of them where router.yaml does. */
export function changedSubscriptions(from: Generation, to: Generation): ReadonlySet<string> {
  const routerChanged = JSON.stringify(from.project.router) !== JSON.stringify(to.project.router)
  const handlersChanged = from.handlers !== to.handlers
  const changed = to.plan.subscriptions.filter(
    ({ file }) => routerChanged || handlersChanged || from.project.sources.get(file) !== to.project.sources.get(file),
  )
  return new Set(changed.map(({ name }) => name))
}
