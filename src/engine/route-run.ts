import { type ActionPlan, ActionSignal, type RoutePlan } from '../compiler/plan.ts'
import { TemplateError } from '../compiler/scope.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased, AttemptRun, isPermanent } from './attempt-run.ts'
import type { Admission, Breaker } from './breaker.ts'
import { LeaseLost } from './claim-guard.ts'
import type { RouteCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { type Execution, errorCause, giveUp, type Settlement } from './execution.ts'
import type { MessageScope } from './message-scope.ts'
import { type Guarded, runOnce } from './once.ts'
import { waitAfter } from './retry-delay.ts'

/** One route at work on one message. Made only once something has to wait. */
interface RouteRun {
  readonly execution: Execution
  readonly assignment: Assignment
  readonly route: RoutePlan
  readonly counters: RouteCounters
  readonly scope: MessageScope
  readonly results: Record<string, unknown> | undefined
  readonly place: RoutePlace
  /** The claim it runs under; undefined without `idempotency`. */
  readonly guarded: Guarded | undefined
  /** Actions that did something, as opposed to those left out. */
  acted: number
  skipped: number
  /** How an action with `continueOnError` was given up. */
  gaveUp: 'dead-lettered' | 'failed' | undefined
}

/** The subscription's side of a route: what dead letters and emits name. */
export interface RoutePlace {
  readonly group: string
  readonly broker: string
}

/** The first try of an action, already under way: its promise, or what it threw. */
type FirstTry = { readonly attempt: AttemptRun } & ({ readonly result: PromiseLike<unknown> } | { readonly error: unknown })

type ActionEnd =
  | { readonly kind: 'value'; readonly value: unknown }
  /** Left out for every element of a forEach. */
  | { readonly kind: 'skipped' }
  | { readonly kind: 'failed'; readonly error: unknown; readonly attempts: number }
  | { readonly kind: 'released' }
  | { readonly kind: 'lease-lost' }

/**
 * Runs a route on a message. Synchronous (undefined: settled) as long as no action waits and none fails: the hot path of broadcasts
 * makes no promise. Never throws nor rejects: a fault ends this route alone, the message still waits for its other routes.
 */
export function runRoute(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
): Promise<Settlement> | undefined {
  const refuse = (error: unknown) => {
    const cause = errorCause(error)
    const { topic, partition, offset } = message
    execution.ports.log.error(
      { topic, partition, offset, route: route.id, error: cause.stack ?? cause.message },
      'the route could not be run',
    )
    return refuseRoute(execution, assignment, place, route, message, cause)
  }
  try {
    return startRoute(execution, assignment, place, route, message)?.catch(refuse)
  } catch (error) {
    return refuse(error)
  }
}

function startRoute(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
): Promise<Settlement> | undefined {
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
  if (idempotency === undefined) return startActions(execution, assignment, place, route, message, counters, undefined)
  return runOnce({
    execution,
    assignment,
    group: place.group,
    route,
    plan: idempotency,
    scope: message,
    counters,
    start: guarded => startActions(execution, assignment, place, route, message, counters, guarded)?.then(ignore),
    refuse: cause => refuseRoute(execution, assignment, place, route, message, cause),
  })
}

/** Under a claim, `guarded.end` says more of the end than the answer. */
function startActions(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  counters: RouteCounters,
  guarded: Guarded | undefined,
): Promise<Settlement> | undefined {
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
    if (guarded?.guard.isLost === true || breaker?.isOpen === true)
      return continueRoute(
        { execution, assignment, route, counters, scope, results, place, guarded, acted, skipped, gaveUp: undefined },
        position,
        undefined,
      )
    const attempt = new AttemptRun(scope, route, action.position, undefined, 1, place.broker)
    let outcome: unknown
    let first: FirstTry | undefined
    if (action.forEach === undefined) {
      try {
        outcome = action.action.run(scope, attempt)
        if (isPromiseLike(outcome)) first = { attempt, result: outcome }
      } catch (error) {
        first = { attempt, error }
      }
    }
    if (first !== undefined || action.forEach !== undefined)
      return continueRoute(
        { execution, assignment, route, counters, scope, results, place, guarded, acted, skipped, gaveUp: undefined },
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
async function continueRoute(run: RouteRun, position: number, first: FirstTry | undefined): Promise<Settlement> {
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
    if (end.kind === 'failed') {
      const outcome = await giveUpAction(run, action, end.error, end.attempts)
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
function endRoute({ guarded, gaveUp, counters }: RouteRun, countWhole: () => void): Settlement {
  const count = gaveUp === undefined ? countWhole : () => countGivenUp(counters, gaveUp)
  if (guarded === undefined) count()
  else guarded.end = { kind: gaveUp === undefined ? 'done' : 'given-up', count }
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

/** Tries one action until it succeeds, fails for good, or the partition is given up. */
async function tryAction(
  run: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  element: number | undefined,
  first: FirstTry | undefined,
): Promise<ActionEnd> {
  const { assignment, execution } = run
  const breaker = execution.breakers.of(run.route.id, action)
  let started = first
  for (let number = 1; ; number++) {
    const admission = started !== undefined || breaker?.isOpen !== true ? 'go' : await breaker.admit(assignment)
    if (admission === 'released') return { kind: 'released' }
    const hindrance = started === undefined ? hindranceOf(run) : undefined
    if (hindrance !== undefined) {
      breaker?.leave(admission)
      return { kind: hindrance }
    }
    const attempt = started?.attempt ?? new AttemptRun(scope, run.route, action.position, element, number, run.place.broker)
    let failure: unknown
    try {
      const value = await outcomeOf(run, action, scope, attempt, started)
      breaker?.succeeded()
      return { kind: 'value', value }
    } catch (error) {
      failure = error
    }
    started = undefined
    if (breaker !== undefined) tellBreaker(breaker, admission, failure)
    if (failure instanceof AttemptReleased) return { kind: 'released' }
    if (failure instanceof LeaseLost) return { kind: 'lease-lost' }
    if (admission === 'probe' && !isPermanent(failure)) {
      // While the breaker is open no attempt is used up.
      number--
      continue
    }
    if (number >= action.retry.attempts || isPermanent(failure)) return { kind: 'failed', error: failure, attempts: number }
    execution.counters.retries++
    const retryInMs = waitAfter(action.retry, number, failure, execution.ports.random)
    const cause = errorCause(failure)
    execution.ports.log.info(
      {
        topic: scope.topic,
        partition: scope.partition,
        offset: scope.offset,
        route: run.route.id,
        action: actionName(action),
        attempt: number,
        retryInMs,
        error: cause.type,
      },
      `failed, trying again: ${cause.message}`,
    )
    if (!(await assignment.wait(retryInMs))) return { kind: 'released' }
  }
}

/** Why nothing more may start. */
function hindranceOf({ assignment, guarded }: RouteRun): 'released' | 'lease-lost' | undefined {
  if (assignment.state === 'released') return 'released'
  return guarded?.guard.isLost === true ? 'lease-lost' : undefined
}

/** What was given up says nothing of the dependency, nor does a template that did not come so far; what it refuses for good it has answered. */
function tellBreaker(breaker: Breaker, admission: Admission, failure: unknown): void {
  if (failure instanceof AttemptReleased || failure instanceof LeaseLost || failure instanceof TemplateError) breaker.leave(admission)
  else if (isPermanent(failure)) breaker.succeeded()
  else breaker.failed(admission)
}

function outcomeOf(
  { assignment, guarded }: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  attempt: AttemptRun,
  started: FirstTry | undefined,
): unknown {
  if (started !== undefined && 'error' in started) throw started.error
  const outcome = started === undefined ? action.action.run(scope, attempt) : started.result
  return isPromiseLike(outcome) ? assignment.settle(outcome, action.timeoutMs, attempt, guarded?.guard) : outcome
}

/** Runs an action for each element in turn; an element that succeeded does not run again when a later one is retried. */
async function tryEach(run: RouteRun, action: ActionPlan): Promise<ActionEnd> {
  let elements: readonly unknown[]
  try {
    elements = action.forEach?.read(run.scope) ?? []
  } catch (error) {
    return { kind: 'failed', error, attempts: 1 }
  }
  const values: unknown[] = []
  let skipped = 0
  for (const [index, item] of elements.entries()) {
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

function giveUpAction(
  run: RouteRun,
  action: ActionPlan,
  error: unknown,
  attempts: number,
): Promise<'dead-lettered' | 'failed' | 'released'> {
  return giveUp(run.execution, {
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
  })
}

/** This route does not run: the data fails its schema, or a fault of our own. */
async function refuseRoute(
  execution: Execution,
  assignment: Assignment,
  place: RoutePlace,
  route: RoutePlan,
  message: MessageScope,
  cause: Pick<DeadLetterCause, 'type' | 'message' | 'stack'>,
): Promise<Settlement> {
  const outcome = await giveUp(execution, {
    record: message.record,
    assignment,
    policy: route.deadLetter,
    cause: { group: place.group, route: route.id, action: undefined, attempts: 1, ...cause },
  })
  if (outcome === 'released') return 'released'
  countGivenUp(execution.counters.route(route.id), outcome)
  return 'settled'
}

function countGivenUp(counters: RouteCounters, outcome: 'dead-lettered' | 'failed'): void {
  if (outcome === 'dead-lettered') counters.deadLettered++
  else counters.failed++
}

function countEnd(counters: RouteCounters, acted: number, skipped: number): void {
  if (acted === 0 && skipped > 0) counters.skipped++
  else counters.done++
}

function actionName(action: ActionPlan): string {
  return `${action.position}:${action.action.kind}`
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function ignore(): void {}
