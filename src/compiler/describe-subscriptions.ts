import type { RoutePlan, RoutingPlan, SubscriptionPlan } from './plan.ts'

/** One route file in words: what `router routes` lists. */
export interface SubscriptionSummary {
  readonly name: string
  readonly file: string
  readonly broker: string
  readonly group: string
  /** Names, then patterns as `/RE2/`. */
  readonly topics: readonly string[]
  readonly routes: readonly RouteSummary[]
  /** What becomes of events that no route names. */
  readonly unmatched: RouteSummary | 'ignore' | 'dead-letter'
}

export interface RouteSummary {
  readonly name: string
  /** Empty where the route takes every message. */
  readonly events: readonly string[]
  readonly conditional: boolean
  /** One line each: `broadcast private-user.{{data.user_id}}`. */
  readonly actions: readonly string[]
}

export function describeSubscriptions(plan: RoutingPlan): readonly SubscriptionSummary[] {
  return plan.subscriptions.map(describeSubscription)
}

function describeSubscription({ name, file, broker, group, topics, routes, unmatched }: SubscriptionPlan): SubscriptionSummary {
  return {
    name,
    file,
    broker,
    group,
    topics: [...topics.names, ...topics.patterns.map(pattern => `/${pattern.source}/`)],
    routes: routes.map(describeRoute),
    unmatched: unmatched.policy === 'actions' ? describeRoute(unmatched.route) : unmatched.policy,
  }
}

function describeRoute({ name, events, when, actions }: RoutePlan): RouteSummary {
  return { name, events, conditional: when !== undefined, actions: actions.map(({ action }) => action.summary) }
}
