import type { ValuePath } from '../config/source-document.ts'
import type { ActionPlan, RoutePlan, SubscriptionPlan } from './plan.ts'

export interface PlacedAction {
  readonly subscription: SubscriptionPlan
  readonly route: RoutePlan
  readonly action: ActionPlan
}

/** Every action of a subscription's routes, those of `unmatched` included. */
export function actionsOf(subscription: SubscriptionPlan): readonly PlacedAction[] {
  const { routes, unmatched } = subscription
  const all = unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes
  return all.flatMap(route => route.actions.map(action => ({ subscription, route, action })))
}

/** Where an action's value stands in its file. */
export function placeOfAction({ subscription, route, action }: PlacedAction): ValuePath {
  const isUnmatched = subscription.unmatched.policy === 'actions' && subscription.unmatched.route === route
  return [...(isUnmatched ? ['unmatched'] : ['routes', route.name]), 'actions', action.position, action.action.kind]
}
