import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'

/** What a new plan means for the subscriptions that run. */
export interface PlanDiff {
  readonly added: readonly SubscriptionPlan[]
  readonly removed: readonly SubscriptionPlan[]
  /** Their consumer has to leave and join again, for the reason given. */
  readonly restarted: readonly { readonly from: SubscriptionPlan; readonly to: SubscriptionPlan; readonly because: string }[]
  /** They take the new plan with the next message. */
  readonly swapped: readonly SubscriptionPlan[]
}

export function diffPlans(from: RoutingPlan, to: RoutingPlan): PlanDiff {
  const before = new Map(from.subscriptions.map(subscription => [subscription.name, subscription]))
  const after = new Set(to.subscriptions.map(subscription => subscription.name))
  const restarted: { from: SubscriptionPlan; to: SubscriptionPlan; because: string }[] = []
  const swapped: SubscriptionPlan[] = []
  const added: SubscriptionPlan[] = []
  for (const subscription of to.subscriptions) {
    const running = before.get(subscription.name)
    if (running === undefined) {
      added.push(subscription)
      continue
    }
    const because = restartReason(running, subscription)
    if (because === undefined) swapped.push(subscription)
    else restarted.push({ from: running, to: subscription, because })
  }
  return { added, removed: from.subscriptions.filter(subscription => !after.has(subscription.name)), restarted, swapped }
}

/** What only a new consumer can do: where it reads, as which group, in which lanes. */
function restartReason(from: SubscriptionPlan, to: SubscriptionPlan): string | undefined {
  const changed = [
    from.broker !== to.broker && 'broker',
    from.role !== to.role && 'role',
    from.group !== to.group && 'group',
    topicsKey(from) !== topicsKey(to) && 'topics',
    from.batch.timeoutMs !== to.batch.timeoutMs && 'batch.timeout',
    from.ordering !== to.ordering && 'ordering',
    // Those that are needed no longer are read on: messages may still wait in them.
    to.retryTopics.some(({ topic }) => !from.retryTopics.some(known => known.topic === topic)) && 'retry.mode',
  ].filter(name => name !== false)
  return changed.length === 0 ? undefined : changed.join(', ')
}

function topicsKey(subscription: SubscriptionPlan): string {
  const { names, patterns } = subscription.topics
  return JSON.stringify([names.toSorted(), patterns.map(pattern => pattern.source).toSorted()])
}

/** The change in words, one line each; `changed` names the subscriptions whose files differ. */
export function describeDiff(diff: PlanDiff, changed: ReadonlySet<string>): readonly string[] {
  return [
    ...diff.added.map(({ name, role, group }) => `${name}: new, ${role === 'fanout' ? 'in every instance' : `group ${group}`}`),
    ...diff.removed.map(({ name }) => `${name}: gone, its consumer stops`),
    ...diff.restarted.map(({ to, because }) => `${to.name}: its consumer restarts (${because})`),
    ...diff.swapped
      .filter(({ name }) => changed.has(name))
      .map(({ name, routes }) => `${name}: ${routes.length === 1 ? '1 route' : `${routes.length} routes`}, no restart`),
  ]
}
