import { type ActionPlan, ActionSignal, type RoutePlan } from '../compiler/plan.ts'
import { actionName, type FirstTry, isPromiseLike, type RoutePlace, type RouteRun, tryAction, tryEach } from './action-run.ts'
import type { Assignment } from './assignment.ts'
import { AttemptRun } from './attempt-run.ts'
import type { RouteCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { type Execution, errorCause, type RunEnd, type Settlement } from './execution.ts'
import { countGivenUp, endGivenUp, type GivenUp, giveUp } from './give-up.ts'
import type { LaneTurn } from './lane-turn.ts'
import type { MessageScope } from './message-scope.ts'
import { type Guarded, runOnce } from './once.ts'
import type { RouteProgress } from './retry-topic.ts'
import type { Seat } from './seat.ts'

/**
 * Runs a route on a message. Synchronous (undefined: settled) as long as no action waits and none fails: the hot path of broadcasts
 * makes no promise. `isAlone`: the message has no other route.
 * Never throws nor rejects: a fault ends this route alone, the message still waits for its other routes.
 */
export function runRoute(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  turn: LaneTurn | undefined,
  seat: Seat,
  progress?: RouteProgress,
  isAlone = true,
): Promise<RunEnd> | undefined {
  try {
    const running = startRoute(execution, assignment, place, route, message, turn, seat, progress, isAlone)
    // The function is made for what waits alone.
    return running === undefined ? undefined : running.catch(error => refuseFault(execution, assignment, place, route, message, error))
  } catch (error) {
    return refuseFault(execution, assignment, place, route, message, error)
  }
}

/** A fault of our own. */
function refuseFault(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  error: unknown,
): Promise<RunEnd> {
  const cause = errorCause(error)
  const { topic, partition, offset } = message
  execution.ports.log.error(
    { topic, partition, offset, route: route.id, error: cause.stack ?? cause.message },
    'the route could not be run',
  )
  return refuseRoute(execution, assignment, place, route, message, cause)
}

function startRoute(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  turn: LaneTurn | undefined,
  seat: Seat,
  progress: RouteProgress | undefined,
  isAlone: boolean,
): Promise<RunEnd> | undefined {
  const counters = execution.counters.route(route.id)
  if (route.when !== undefined && !route.when(message)) {
    counters.filtered++
    return undefined
  }
  if (route.schema !== undefined) {
    const wrong = route.schema.check(message.data)
    if (wrong !== null)
      return refuseRoute(execution, assignment, place, route, message, { type: 'invalid-data', message: wrong, stack: undefined })
  }
  const { idempotency } = route
  if (idempotency === undefined)
    return startActions(execution, assignment, place, route, message, turn, seat, counters, undefined, progress)
  return runOnce({
    execution,
    assignment,
    group: place.group,
    route,
    plan: idempotency,
    scope: message,
    seat,
    counters,
    // Messages of a lane that share a batch share its place.
    isAlone: isAlone && turn === undefined,
    start: guarded => startActions(execution, assignment, place, route, message, turn, seat, counters, guarded, progress)?.then(ignore),
    refuse: cause => refuseRoute(execution, assignment, place, route, message, cause).then(settlementOf),
  })
}

/** Under a claim, `guarded.end` says more of the end than the answer. */
function startActions(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  turn: LaneTurn | undefined,
  seat: Seat,
  counters: RouteCounters,
  guarded: Guarded | undefined,
  progress: RouteProgress | undefined,
): Promise<RunEnd> | undefined {
  // A replayed message brings the results of the actions that do not run again.
  const results: Record<string, unknown> | undefined = route.keepsResults ? Object.assign(Object.create(null), message.results) : undefined
  const scope = results === undefined ? message : message.withResults(results)
  let acted = 0
  let skipped = 0
  for (let position = 0; position < route.actions.length; position++) {
    const action = route.actions[position]
    if (action === undefined) break
    if (action.when !== undefined && !action.when(scope)) continue
    const breaker = execution.breakers.of(route.id, action)
    const mustWait =
      guarded?.guard.isLost === true || breaker?.isOpen === true || action.action.batch !== undefined || progress !== undefined
    let outcome: unknown
    let first: FirstTry | undefined
    if (!mustWait && action.forEach === undefined) {
      const attempt = new AttemptRun(scope, route, action.position, undefined, 1, place.broker)
      try {
        outcome = action.action.run(scope, attempt)
        if (isPromiseLike(outcome)) first = { attempt, result: outcome }
      } catch (error) {
        first = { attempt, error }
      }
    }
    if (mustWait || first !== undefined || action.forEach !== undefined)
      return continueRoute(
        {
          execution,
          assignment,
          route,
          counters,
          scope,
          results,
          place,
          guarded,
          turn,
          seat,
          progress,
          values: [],
          acted,
          skipped,
          gaveUp: progress?.gaveUp,
        },
        position,
        first,
      )
    breaker?.succeeded()
    if (outcome instanceof ActionSignal) {
      if (outcome.kind === 'drop') {
        if (guarded === undefined) counters.dropped++
        else guarded.end = { kind: 'done', count: () => counters.dropped++ }
        return undefined
      }
      execution.counters.skipped(outcome.reason)
      skipped++
    } else {
      acted++
      if (results !== undefined && action.as !== undefined) results[action.as] = outcome
    }
  }
  if (guarded === undefined) countEnd(counters, acted, skipped)
  else guarded.end = { kind: 'done', count: () => countEnd(counters, acted, skipped) }
  return undefined
}

/** Goes on from the action that could not end at once. */
async function continueRoute(run: RouteRun, position: number, first: FirstTry | undefined): Promise<RunEnd> {
  const { route, scope, counters, results, guarded } = run
  guarded?.guard.hold()
  for (let at = position; at < route.actions.length; at++) {
    const action = route.actions[at]
    if (action === undefined) break
    if (at !== position && action.when !== undefined && !action.when(scope)) continue
    const end =
      action.forEach === undefined
        ? await tryAction(run, action, scope, undefined, at === position ? first : undefined)
        : await tryEach(run, action)
    if (end.kind === 'released') return leaveRoute(run)
    if (end.kind === 'lease-lost') return leaveRoute(run, at)
    if (end.kind === 'moved') return moveRoute(run)
    if (end.kind === 'failed') {
      const given = givenUpAction(run, action, end.error, end.attempts)
      // Where the route goes on, or ends a claim, that has to be known.
      if (guarded === undefined && !action.continueOnError) return endGivenUp(run.execution, given, counters, run.gaveUp)
      const outcome = await giveUp(run.execution, given)
      if (outcome === 'released') return leaveRoute(run)
      if (run.gaveUp !== 'dead-lettered') run.gaveUp = outcome
      if (action.continueOnError) continue
      break
    }
    if (end.kind === 'skipped') run.skipped++
    else if (end.value instanceof ActionSignal) {
      if (end.value.kind === 'drop') {
        return endRoute(run, () => counters.dropped++)
      }
      run.execution.counters.skipped(end.value.reason)
      run.skipped++
    } else {
      run.acted++
      if (results !== undefined && action.as !== undefined) results[action.as] = end.value
    }
  }
  return endRoute(run, () => countEnd(counters, run.acted, run.skipped))
}

/** Counts at once, or once the end of the claim is stored. A route that gave something up has not completed its key. */
function endRoute({ guarded, turn, gaveUp, counters }: RouteRun, countWhole: () => void): Settlement {
  // Completions of a batch are stored together: the next message does not wait for this one's.
  turn?.leave('settled')
  const count = gaveUp === undefined ? countWhole : () => countGivenUp(counters, gaveUp)
  if (guarded === undefined) count()
  else guarded.end = { kind: gaveUp === undefined ? 'done' : 'given-up', count }
  return 'settled'
}

/** It goes on from a retry topic, and takes the claim again there: its next try may be in another process, and meanwhile another message may take the key. */
function moveRoute({ guarded }: RouteRun): Settlement {
  if (guarded !== undefined) guarded.end = { kind: 'given-up', count: ignore }
  return 'settled'
}

/** Ends before the actions have. `resumeAt`: another claim may go on with this action. */
function leaveRoute(run: RouteRun, resumeAt?: number): Settlement {
  const { guarded } = run
  if (guarded === undefined) return 'released'
  if (resumeAt === undefined) guarded.end = { kind: 'released' }
  else
    guarded.end = {
      kind: 'lease-lost',
      resume: next => continueRoute({ ...run, guarded: next }, resumeAt, undefined).then(ignore),
    }
  return 'released'
}

function givenUpAction(run: RouteRun, action: ActionPlan, error: unknown, attempts: number): GivenUp {
  return {
    record: run.scope.record,
    assignment: run.assignment,
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
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  cause: Pick<DeadLetterCause, 'type' | 'message' | 'stack'>,
): Promise<RunEnd> {
  const given = {
    record: message.record,
    assignment,
    policy: route.deadLetter,
    cause: { group: place.group, route: route.id, action: undefined, attempts: 1, ...cause },
  }
  return endGivenUp(execution, given, execution.counters.route(route.id))
}

/** Under a claim, the end waits for the dead letter. */
function settlementOf(end: RunEnd): Settlement | Promise<Settlement> {
  return typeof end === 'string' ? end : end.settlement
}

function countEnd(counters: RouteCounters, acted: number, skipped: number): void {
  if (acted === 0 && skipped > 0) counters.skipped++
  else counters.done++
}

function ignore(): void {}
