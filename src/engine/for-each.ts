import { type ActionPlan, ActionSignal } from '../compiler/plan.ts'
import { type ActionEnd, type RouteRun, tryAction } from './action-run.ts'

/** Runs an action for each element in turn; an element that succeeded does not run again when a later one is retried. */
export async function tryEach(run: RouteRun, action: ActionPlan): Promise<ActionEnd> {
  let elements: readonly unknown[]
  try {
    elements = action.forEach?.read(run.scope) ?? []
  } catch (error) {
    return { kind: 'failed', error, attempts: 1 }
  }
  const values = valuesBefore(run, action)
  run.values = values
  const done = values.length
  let skipped = 0
  for (const [index, item] of elements.entries()) {
    if (index < done) continue
    const end = await tryAction(run, action, run.scope.withItem(item), index, undefined)
    if (end.kind !== 'value') return end
    if (end.value instanceof ActionSignal) {
      if (end.value.kind === 'drop') return end
      skipped++
      run.execution.counters.skipped(end.value.reason)
    }
    values.push(end.value instanceof ActionSignal ? null : end.value)
  }
  return skipped > 0 && skipped === values.length ? { kind: 'skipped' } : { kind: 'value', value: values }
}

/**
 * What the elements answered that were done before the lease was lost, or before the message waited in a retry topic. All run again where the message does
 * not say.
 */
function valuesBefore({ resumed, progress, route, results }: RouteRun, action: ActionPlan): unknown[] {
  if (resumed?.action === action) return [...resumed.values]
  const done = action === route.actions[0] ? (progress?.elements ?? 0) : 0
  if (done === 0) return []
  if (results === undefined || action.as === undefined) return new Array<unknown>(done).fill(null)
  const kept = results[action.as]
  delete results[action.as]
  return Array.isArray(kept) && kept.length === done ? [...kept] : []
}
