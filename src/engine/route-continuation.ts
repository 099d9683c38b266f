import { type ActionPlan, ActionSignal } from '../compiler/plan.ts'
import { actionName, type FirstTry, failsForGood, type RouteRun, tryAction } from './action-run.ts'
import type { ClaimGuard } from './claim-guard.ts'
import { countEnd, type RouteCounters, type RouteEnd } from './counters.ts'
import { errorCause, type RunEnd, type Settlement } from './execution.ts'
import { tryEach } from './for-each.ts'
import { endGivenUp, type GivenUp, giveUp } from './give-up.ts'

/** The end of a route whose action failed for good at its first try. Undefined where there is more to ask or to wait for: `continueRoute` does. */
export function endAtOnce(run: RouteRun, position: number, first: FirstTry): RunEnd | Promise<RunEnd> | undefined {
  const action = run.route.actions[position]
  if (action === undefined || action.continueOnError || run.guard !== undefined || run.turn !== undefined) return undefined
  if (!('error' in first) || !failsForGood(run, action, first.error)) return undefined
  return endGivenUp(run.execution, givenUpAction(run, action, first.error, 1), run.counters, run.gaveUp)
}

/** Goes on from the action that could not end at once. */
export async function continueRoute(run: RouteRun, position: number, first: FirstTry | undefined): Promise<RunEnd> {
  const { route, scope, results, guard } = run
  guard?.hold()
  for (let at = position; at < route.actions.length; at++) {
    const action = route.actions[at]
    if (action === undefined) break
    if (at !== position && action.when !== undefined && !action.when(scope)) continue
    const end =
      action.forEach === undefined
        ? await tryAction(run, action, scope, undefined, at === position ? first : undefined)
        : await tryEach(run, action)
    if (end.kind === 'released') return leaveRoute(run)
    if (end.kind === 'lease-lost') return leaveRoute(run, { at, action, attempts: end.attempts })
    if (end.kind === 'moved') return moveRoute(run)
    if (end.kind === 'failed') {
      const given = givenUpAction(run, action, end.error, end.attempts)
      // Where the route goes on, or ends a claim, that has to be known.
      if (guard === undefined && !action.continueOnError) return endGivenUp(run.execution, given, run.counters, run.gaveUp)
      const outcome = await giveUp(run.execution, given, action.continueOnError)
      if (outcome === 'released') return leaveRoute(run)
      if (run.gaveUp !== 'dead-lettered') run.gaveUp = outcome
      if (action.continueOnError) continue
      break
    }
    if (end.kind === 'skipped') run.skipped++
    else if (end.value instanceof ActionSignal) {
      if (end.value.kind === 'drop') {
        return endRoute(run, 'dropped')
      }
      run.execution.counters.skipped(end.value.reason)
      run.skipped++
    } else {
      run.acted++
      if (results !== undefined && action.as !== undefined) results[action.as] = end.value
    }
  }
  return endRoute(run, wholeEnd(run.acted, run.skipped))
}

/** A route that gave something up has not completed its key. */
function endRoute(run: RouteRun, whole: RouteEnd): Settlement {
  // Completions of a batch are stored together: the next message does not wait for this one's.
  run.turn?.leave('settled')
  endActions(run.counters, run.guard, run.gaveUp ?? whole)
  return 'settled'
}

/** Counts at once, or once the end of the claim is stored. */
export function endActions(counters: RouteCounters, guard: ClaimGuard | undefined, end: RouteEnd): void {
  if (guard === undefined) countEnd(counters, end)
  else guard.actionsEnd = end
}

/** It goes on from a retry topic, and takes the claim again there: its next try may be in another process, and meanwhile another message may take the key. */
function moveRoute(run: RouteRun): Settlement {
  endActions(run.counters, run.guard, 'moved')
  return 'settled'
}

/** Ends before the actions have. `lost`: where the lease was lost; another claim may go on with this action. */
function leaveRoute(run: RouteRun, lost?: { readonly at: number; readonly action: ActionPlan; readonly attempts: number }): Settlement {
  const { guard } = run
  if (guard === undefined) return 'released'
  guard.actionsEnd = lost === undefined ? 'released' : { resume: next => resumeRoute(run, next, lost) }
  return 'released'
}

async function resumeRoute(
  run: RouteRun,
  guard: ClaimGuard,
  { at, action, attempts }: { readonly at: number; readonly action: ActionPlan; readonly attempts: number },
): Promise<void> {
  const resumed = { action, attempts, values: action.forEach === undefined ? [] : run.values }
  await continueRoute({ ...run, guard, resumed }, at, undefined)
}

function givenUpAction(run: RouteRun, action: ActionPlan, error: unknown, attempts: number): GivenUp {
  return {
    record: run.scope.record,
    assignment: run.assignment,
    seat: run.seat,
    policy: action.deadLetter,
    cause: {
      group: run.place.group,
      route: run.route.id,
      action: actionName(action),
      attempts,
      results: run.results,
      ...errorCause(error),
    },
  }
}

export function wholeEnd(acted: number, skipped: number): 'done' | 'skipped' {
  return acted === 0 && skipped > 0 ? 'skipped' : 'done'
}
