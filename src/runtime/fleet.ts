import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { SubscriptionCounters } from '../engine/counters.ts'
import type { DrainResult } from '../engine/subscription-processor.ts'
import type { PlanDiff } from '../reload/plan-diff.ts'
import type { SubscriptionRunner } from './subscription-runner.ts'

export type MakeRunner = (plan: SubscriptionPlan, counters: SubscriptionCounters | undefined) => SubscriptionRunner

/** All subscriptions at work. */
export class Fleet {
  readonly #runners = new Map<string, SubscriptionRunner>()
  readonly #make: MakeRunner
  readonly #restartGraceMs: () => number

  /** `restartGraceMs`: how long the running work of a consumer that stops for an edit may take. */
  constructor(make: MakeRunner, restartGraceMs: () => number) {
    this.#make = make
    this.#restartGraceMs = restartGraceMs
  }

  get runners(): Iterable<SubscriptionRunner> {
    return this.#runners.values()
  }

  get allJoined(): boolean {
    return [...this.#runners.values()].every(runner => runner.joined)
  }

  start(plan: RoutingPlan): void {
    for (const subscription of plan.subscriptions) this.#launch(subscription, undefined)
  }

  /** Swaps plans at once, then stops and starts what needs another consumer. Resolves when all of it is under way. */
  async apply(diff: PlanDiff): Promise<void> {
    for (const subscription of diff.swapped) this.#runners.get(subscription.name)?.swap(subscription)
    for (const subscription of diff.added) this.#launch(subscription, undefined)
    await Promise.all([
      ...diff.removed.map(({ name }) => this.#retire(name)),
      ...diff.restarted.map(async ({ to }) => {
        const counters = this.#runners.get(to.name)?.processor.counters
        await this.#retire(to.name)
        this.#launch(to, counters)
      }),
    ])
  }

  async stop(graceMs: number): Promise<readonly (DrainResult & { readonly subscription: string })[]> {
    return await Promise.all([...this.#runners].map(async ([subscription, runner]) => ({ subscription, ...(await runner.stop(graceMs)) })))
  }

  #launch(plan: SubscriptionPlan, counters: SubscriptionCounters | undefined): void {
    const runner = this.#make(plan, counters)
    this.#runners.set(plan.name, runner)
    runner.start()
  }

  async #retire(name: string): Promise<void> {
    const runner = this.#runners.get(name)
    this.#runners.delete(name)
    await runner?.stop(this.#restartGraceMs())
  }
}
