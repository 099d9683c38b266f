import { type ActionPlan, ActionSignal, type RoutePlan } from '../compiler/plan.ts'
import { actionName, type FirstTry, isPromiseLike, type RouteRun, tryAction } from './action-run.ts'
import { AttemptRun } from './attempt-run.ts'
import type { ClaimGuard } from './claim-guard.ts'
import { countEnd, type RouteCounters, type RouteEnd } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { Delivery, RouteJob } from './delivery.ts'
import { type Ending, endingOf } from './ending.ts'
import { errorCause, type RunEnd, type Settlement } from './execution.ts'
import { tryEach } from './for-each.ts'
import { endGivenUp, type GivenUp, giveUp } from './give-up.ts'
import type { MessageScope } from './message-scope.ts'
import { type GuardedSteps, runOnce } from './once.ts'
import type { RouteProgress } from './retry-topic.ts'

/**
 * Runs a route on a message. Synchronous (undefined: settled) as long as no action waits and none fails: the hot path of broadcasts
 * makes no promise. `isAlone`: the message has no other route.
 * Never throws: a fault ends this route alone, the message still waits for its other routes.
 */
export function runRoute(
  delivery: Delivery,
  route: RoutePlan,
  scope: MessageScope,
  progress?: RouteProgress,
  isAlone = true,
): Ending | undefined {
  const { execution, turn } = delivery
  const counters = execution.counters.route(route.id)
  // Messages of a lane that share a batch share its place.
  const job: RouteJob = { delivery, route, scope, counters, progress, isAlone: isAlone && turn === undefined }
  try {
    if (route.when !== undefined && !route.when(scope)) {
      counters.filtered++
      return undefined
    }
    const wrong = route.schema?.check(scope.data) ?? null
    if (wrong !== null) return endingOf(refuseRoute(job, { type: 'invalid-data', message: wrong, stack: undefined }))
    if (route.idempotency !== undefined) return runOnce(job, route.idempotency, guardedSteps)
    const running = startActions(job, undefined)
    // The function is made for what waits alone.
    return running === undefined ? undefined : endingOf(running.catch(error => refuseFault(job, error)))
  } catch (error) {
    return endingOf(refuseFault(job, error))
  }
}

const guardedSteps: GuardedSteps = {
  start: (job, guard) => startActions(job, guard)?.then(ignore),
  refuse: (job, cause) => refuseRoute(job, cause).then(settlementOf),
  fault: refuseFault,
}

/** A fault of our own. */
function refuseFault(job: RouteJob, error: unknown): Promise<RunEnd> {
  const cause = errorCause(error)
  const { topic, partition, offset } = job.scope
  job.delivery.execution.ports.log.error(
    { topic, partition, offset, route: job.route.id, error: cause.stack ?? cause.message },
    'the route could not be run',
  )
  return refuseRoute(job, cause)
}

/** Under a claim, `guard.actionsEnd` says more of the end than the answer. */
function startActions(job: RouteJob, guard: ClaimGuard | undefined): Promise<RunEnd> | undefined {
  const { delivery, route, counters, progress } = job
  const { execution } = delivery
  // A replayed message brings the results of the actions that do not run again.
  const results: Record<string, unknown> | undefined = route.keepsResults
    ? Object.assign(Object.create(null), job.scope.results)
    : undefined
  const scope = results === undefined ? job.scope : job.scope.withResults(results)
  let acted = 0
  let skipped = 0
  for (let position = 0; position < route.actions.length; position++) {
    const action = route.actions[position]
    if (action === undefined) break
    if (action.when !== undefined && !action.when(scope)) continue
    const breaker = execution.breakers.of(route.id, action)
    const mustWait = guard?.isLost === true || breaker?.isOpen === true || action.action.batch !== undefined || progress !== undefined
    let outcome: unknown
    let first: FirstTry | undefined
    if (!mustWait && action.forEach === undefined) {
      const attempt = new AttemptRun(scope, route, action.position, undefined, 1, delivery.plan.broker)
      try {
        outcome = action.action.run(scope, attempt)
        if (isPromiseLike(outcome)) first = { attempt, result: outcome }
      } catch (error) {
        first = { attempt, error }
      }
    }
    if (mustWait || first !== undefined || action.forEach !== undefined)
      return continueRoute(runOf(job, scope, results, guard, acted, skipped), position, first)
    breaker?.succeeded()
    if (outcome instanceof ActionSignal) {
      if (outcome.kind === 'drop') {
        endActions(counters, guard, 'dropped')
        return undefined
      }
      execution.counters.skipped(outcome.reason)
      skipped++
    } else {
      acted++
      if (results !== undefined && action.as !== undefined) results[action.as] = outcome
    }
  }
  endActions(counters, guard, wholeEnd(acted, skipped))
  return undefined
}

function runOf(
  { delivery, route, counters, progress }: RouteJob,
  scope: MessageScope,
  results: Record<string, unknown> | undefined,
  guard: ClaimGuard | undefined,
  acted: number,
  skipped: number,
): RouteRun {
  const { execution, assignment, plan, turn, seat } = delivery
  return {
    execution,
    assignment,
    route,
    counters,
    scope,
    results,
    place: plan,
    guard,
    turn,
    seat,
    progress,
    resumed: undefined,
    values: [],
    acted,
    skipped,
    gaveUp: progress?.gaveUp,
  }
}

/** Goes on from the action that could not end at once. */
async function continueRoute(run: RouteRun, position: number, first: FirstTry | undefined): Promise<RunEnd> {
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
function endActions(counters: RouteCounters, guard: ClaimGuard | undefined, end: RouteEnd): void {
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

/** This route does not run: the data fails its schema, or a fault of our own. */
function refuseRoute(
  { delivery, route, scope, counters }: RouteJob,
  cause: Pick<DeadLetterCause, 'type' | 'message' | 'stack'>,
): Promise<RunEnd> {
  const { execution, assignment, plan, seat } = delivery
  const given = {
    record: scope.record,
    assignment,
    seat,
    policy: route.deadLetter,
    cause: { group: plan.group, route: route.id, action: undefined, attempts: 1, ...cause },
  }
  return endGivenUp(execution, given, counters)
}

/** Under a claim, the end waits for the dead letter. */
function settlementOf(end: RunEnd): Settlement | Promise<Settlement> {
  return typeof end === 'string' ? end : end.settlement
}

function wholeEnd(acted: number, skipped: number): 'done' | 'skipped' {
  return acted === 0 && skipped > 0 ? 'skipped' : 'done'
}

function ignore(): void {}
