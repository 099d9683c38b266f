import type { ActionPlan, BatchUse, CompiledAction, RoutePlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { Condition } from '../compiler/scope.ts'
import { MessageScope } from './message-scope.ts'
import type { EngineObserver } from './observer.ts'

/** The same plan, whose routes and actions tell the observer what they do. */
export function observePlan(plan: SubscriptionPlan, observer: EngineObserver): SubscriptionPlan {
  const observed = new Map(plan.routes.map(route => [route, observeRoute(route, observer)]))
  const { unmatched } = plan
  return {
    ...plan,
    routes: plan.routes.map(route => observed.get(route) ?? route),
    unmatched: unmatched.policy === 'actions' ? { ...unmatched, route: observeRoute(unmatched.route, observer) } : unmatched,
    match: event => plan.match(event).map(route => observed.get(route) ?? route),
  }
}

function observeRoute(route: RoutePlan, observer: EngineObserver): RoutePlan {
  return {
    ...route,
    when: route.when === undefined ? undefined : observeCondition(route, route.when, observer),
    actions: route.actions.map(action => ({ ...action, action: observeAction(action, observer) })),
  }
}

function observeAction(plan: ActionPlan, observer: EngineObserver): CompiledAction {
  const { batch } = plan.action
  const observed = { ...plan.action, run: observeRun(plan, observer) }
  return batch === undefined ? observed : { ...observed, batch: { ...batch, call: observeCall(plan, batch, observer) } }
}

function observeCall(plan: ActionPlan, batch: BatchUse, observer: EngineObserver): BatchUse['call'] {
  return async (members, signal) => {
    const ends = members.map(({ scope, attempt }) => observer.attempting(plan, scope, attempt))
    try {
      const outcomes = await batch.call(members, signal)
      for (const [index, outcome] of outcomes.entries()) ends[index]?.(outcome)
      return outcomes
    } catch (error) {
      for (const end of ends) end?.({ error })
      throw error
    }
  }
}

function observeCondition(route: RoutePlan, when: Condition, observer: EngineObserver): Condition {
  const observed: Condition = scope => {
    const holds = when(scope)
    if (!holds && scope instanceof MessageScope) observer.leftOut(route, scope.record, 'condition')
    return holds
  }
  return when.failure === undefined ? observed : Object.assign(observed, { failure: when.failure })
}

function observeRun(plan: ActionPlan, observer: EngineObserver): CompiledAction['run'] {
  const { action } = plan
  return (scope, attempt) => {
    const end = observer.attempting(plan, scope, attempt)
    if (end === undefined) return action.run(scope, attempt)
    let outcome: unknown
    try {
      outcome = action.run(scope, attempt)
    } catch (error) {
      end({ error })
      throw error
    }
    // Only a real promise: asking another thenable twice may do its work twice.
    if (outcome instanceof Promise)
      outcome.then(
        value => end({ value }),
        error => end({ error }),
      )
    else end({ value: outcome })
    return outcome
  }
}
