import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { SubscriptionCounters } from '../engine/counters.ts'
import type { PlanDiff } from '../reload/plan-diff.ts'
import type { Departure, SubscriptionRunner } from './subscription-runner.ts'

export type MakeRunner = (plan: SubscriptionPlan, counters: SubscriptionCounters | undefined) => SubscriptionRunner

/** A new plan that is taken over. */
export interface Changeover {
  /** Every consumer that had to has stopped and started. */
  readonly done: Promise<void>
  /** The last message that started on an earlier plan has ended. Never rejects. */
  readonly earlierEnded: Promise<void>
}

/** All subscriptions at work. */
export class Fleet {
  readonly #runners = new Map<string, SubscriptionRunner>()
  /** Those that an edit stops, until they have left. */
  readonly #leaving = new Set<SubscriptionRunner>()
  readonly #make: MakeRunner
  readonly #restartGraceMs: () => number
  #isStopped = false

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

  /** Swaps plans at once, then stops and starts what needs another consumer. */
  apply(diff: PlanDiff): Changeover {
    const swaps = diff.swapped.map(subscription => this.#runners.get(subscription.name)?.swap(subscription))
    for (const subscription of diff.added) this.#launch(subscription, undefined)
    const done = this.#replace(diff)
    return { done, earlierEnded: Promise.allSettled([...swaps, done]).then(() => {}) }
  }

  /** No consumer starts any more, and those at work leave, each with up to `graceMs` for what it is at and `commitMs` for its commit. */
  stop(graceMs: number, commitMs: number): readonly (Departure & { readonly subscription: string })[] {
    this.#isStopped = true
    return [...this.#runners.values(), ...this.#leaving].map(runner => ({
      subscription: runner.processor.plan.name,
      ...runner.stop(graceMs, commitMs),
    }))
  }

  async #replace({ removed, restarted }: PlanDiff): Promise<void> {
    await Promise.all([
      ...removed.map(({ name }) => this.#retire(name)),
      ...restarted.map(async ({ to }) => {
        const counters = this.#runners.get(to.name)?.processor.counters
        await this.#retire(to.name)
        this.#launch(to, counters)
      }),
    ])
  }

  /** Stops the consumers of these, does something, and starts them again. */
  async whileStopped(plans: readonly SubscriptionPlan[], work: () => Promise<void>): Promise<void> {
    const counters = new Map(plans.map(({ name }) => [name, this.#runners.get(name)?.processor.counters]))
    await Promise.all(plans.map(({ name }) => this.#retire(name)))
    try {
      await work()
    } finally {
      for (const plan of plans) this.#launch(plan, counters.get(plan.name))
    }
  }

  #launch(plan: SubscriptionPlan, counters: SubscriptionCounters | undefined): void {
    if (this.#isStopped) return
    const runner = this.#make(plan, counters)
    this.#runners.set(plan.name, runner)
    runner.start()
  }

  async #retire(name: string): Promise<void> {
    const runner = this.#runners.get(name)
    if (runner === undefined) return
    this.#runners.delete(name)
    this.#leaving.add(runner)
    try {
      await runner.stop(this.#restartGraceMs()).left
    } finally {
      this.#leaving.delete(runner)
    }
  }
}
