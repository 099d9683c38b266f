import type { RoutePlan, RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'

/** What the page shows as "what listens to what". */
export interface InspectorState {
  /** The name in router.yaml. */
  readonly app: string
  /** Counts the configurations that were at work, from 1. */
  readonly generation: number
  readonly subscriptions: readonly InspectorSubscription[]
}

export interface InspectorSubscription {
  readonly name: string
  readonly file: string
  readonly broker: string
  readonly group: string
  /** Names, then patterns as `/RE2/`. */
  readonly topics: readonly string[]
  readonly routes: readonly InspectorRoute[]
  /** What becomes of events that no route names. */
  readonly unmatched: InspectorRoute | 'ignore' | 'dead-letter'
}

export interface InspectorRoute {
  readonly name: string
  /** Empty where the route takes every message. */
  readonly events: readonly string[]
  readonly conditional: boolean
  /** One line each: `broadcast private-user.{{data.user_id}}`. */
  readonly actions: readonly string[]
}

export function describeSubscriptions(plan: RoutingPlan): readonly InspectorSubscription[] {
  return plan.subscriptions.map(describeSubscription)
}

function describeSubscription({ name, file, broker, group, topics, routes, unmatched }: SubscriptionPlan): InspectorSubscription {
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

function describeRoute({ name, events, when, actions }: RoutePlan): InspectorRoute {
  return { name, events, conditional: when !== undefined, actions: actions.map(({ action }) => action.summary) }
}
