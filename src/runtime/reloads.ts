import type { RoutingPlan } from '../compiler/plan.ts'
import type { RouterConfig } from '../config/router-config.ts'
import type { EngineLog } from '../engine/ports.ts'
import type { RealtimeServer } from '../realtime/realtime-server.ts'
import type { HotRealtimeConfig } from '../realtime/settings.ts'
import { describeDiff, diffPlans } from '../reload/plan-diff.ts'
import type { ReloadResult } from '../reload/reload-result.ts'
import type { Fleet } from './fleet.ts'
import { changedSubscriptions, type Draft, type Generation, type Generations, type PortsBesideHandlers } from './generations.ts'
import type { IdempotencyKeys } from './idempotency-keys.ts'
import type { ProjectWatch } from './project-watch.ts'
import { retireHandlers } from './retire-handlers.ts'

/** What an edit changes while it runs. */
export interface ReloadedParts {
  readonly ports: PortsBesideHandlers
  readonly fleet: Fleet
  readonly server: RealtimeServer
  readonly keys: IdempotencyKeys
  readonly watch: ProjectWatch | undefined
}

export interface ReloadsOptions {
  readonly generations: Generations
  readonly log: EngineLog
  /** The router stops: nothing more is taken over. */
  readonly stopping: AbortSignal
  parts(): ReloadedParts
  hotConfig(config: RouterConfig): HotRealtimeConfig
  /** Keys that have changed and wait for a restart. */
  waiting(): readonly string[]
  onReload(result: ReloadResult): void
}

/** Takes edits over, one at a time: those that arrive during one are seen by the next. */
export class Reloads {
  readonly counts = { applied: 0, rejected: 0 }
  readonly #options: ReloadsOptions
  /** Handlers of earlier generations that are still in use or being torn down. */
  readonly #retiring = new Set<Promise<void>>()
  #underWay: Promise<unknown> = Promise.resolve()

  constructor(options: ReloadsOptions) {
    this.#options = options
  }

  /** Resolves when no reload is at work. */
  get underWay(): Promise<unknown> {
    return this.#underWay
  }

  /** Resolves when what earlier generations have set up is torn down. */
  get retired(): Promise<unknown> {
    return Promise.all(this.#retiring)
  }

  /** `settled`: what is broken may be a file that is still being written, and is looked at again. */
  reload(files: 'settled' | 'as-it-is'): Promise<ReloadResult> {
    return this.#inTurn(() => this.#reloadNow(files))
  }

  /** Does something while the consumers of a group have left it, between two reloads. */
  whileStopped(group: string, work: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const { generations, stopping, parts } = this.#options
      const plans = stopping.aborted ? [] : (generations.current?.plan.subscriptions.filter(plan => plan.group === group) ?? [])
      await parts().fleet.whileStopped(plans, work)
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#underWay.then(work)
    this.#underWay = next.catch(() => {})
    return next
  }

  async #reloadNow(files: 'settled' | 'as-it-is'): Promise<ReloadResult> {
    const { stopping } = this.#options
    if (stopping.aborted) return { kind: 'unchanged' }
    let draft: Draft
    try {
      draft = await this.#draft(files)
    } catch (error) {
      if (stopping.aborted) return { kind: 'unchanged' }
      throw error
    }
    const result = draft.kind === 'ready' ? await this.#apply(draft.generation) : draft
    if (result.kind === 'unchanged') return result
    this.counts[result.kind]++
    this.#options.onReload(result)
    return result
  }

  #draft(files: 'settled' | 'as-it-is'): Promise<Draft> {
    const { generations, stopping, parts } = this.#options
    const { ports } = parts()
    return files === 'settled' ? generations.settledDraft(ports, stopping) : generations.draft(ports, stopping)
  }

  async #apply(generation: Generation): Promise<ReloadResult> {
    const { generations, stopping, log } = this.#options
    const { fleet, server, keys, watch } = this.#options.parts()
    const { project, plan, problems } = generation
    const fault = await keys.openForReload(plan)
    if (fault !== undefined || stopping.aborted) {
      if (generation.handlers !== generations.current?.handlers) await retireHandlers(generation, log)
      return fault === undefined ? { kind: 'unchanged' } : { kind: 'rejected', problems: [fault], sources: project.sources }
    }
    const previous = generations.adopt(generation)
    const before: RoutingPlan = previous?.plan ?? { subscriptions: [] }
    const diff = diffPlans(before, plan)
    server.updateConfig(this.#options.hotConfig(project.router))
    const { done, earlierEnded } = fleet.apply(diff)
    watch?.follow(project, generation.handlers.files)
    if (previous !== undefined && previous.handlers !== generation.handlers) this.#retireLater(previous, earlierEnded)
    await done
    const changed = previous === undefined ? new Set<string>() : changedSubscriptions(previous, generation)
    const waits = this.#options.waiting().map(key => `router.yaml: ${key} changed, which takes a restart`)
    const summary = [...describeDiff(diff, changed), ...waits]
    return { kind: 'applied', generation: generation.number, summary, problems, sources: project.sources }
  }

  /** Messages at work may still call what the edit took away. */
  #retireLater(generation: Generation, earlierEnded: Promise<void>): void {
    const retiring = earlierEnded.then(() => retireHandlers(generation, this.#options.log)).finally(() => this.#retiring.delete(retiring))
    this.#retiring.add(retiring)
  }
}
