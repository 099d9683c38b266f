import { type ActionPlan, ActionSignal, type RoutePlan } from '../compiler/plan.ts'
import { type FirstTry, isPromiseLike, type RouteRun } from './action-run.ts'
import { AttemptRun } from './attempt-run.ts'
import type { Breaker } from './breaker.ts'
import type { ClaimGuard } from './claim-guard.ts'
import type { RouteCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { Delivery, RouteJob } from './delivery.ts'
import { type Begun, begunOf, type Ending, endingOf } from './ending.ts'
import { errorCause, type RunEnd, settlementOf } from './execution.ts'
import { endGivenUp } from './give-up.ts'
import type { MessageScope } from './message-scope.ts'
import { type GuardedSteps, runOnce } from './once.ts'
import type { RouteProgress } from './retry-topic.ts'
import { continueRoute, endActions, endAtOnce, wholeEnd } from './route-continuation.ts'
import type { Waiter } from './running-attempts.ts'
import { stackOf } from './stack-of.ts'

/**
 * Runs a route on a message. Synchronous (undefined: settled) as long as no action waits and none fails: the hot path of broadcasts
 * makes no promise. `isAlone`: the message has no other route.
 * Never throws: a fault ends this route alone, the message still waits for its other routes.
 */
export function runRoute(delivery: Delivery, route: RoutePlan, scope: MessageScope, progress?: RouteProgress, isAlone = true): Begun {
  const { execution, turn } = delivery
  // Messages of a lane that share a batch share its place.
  const job = new RouteStart(delivery, route, scope, execution.counters.route(route.id), progress, isAlone && turn === undefined)
  try {
    if (route.when !== undefined && !route.when(scope)) {
      job.counters.filtered++
      return undefined
    }
    const wrong = route.schema?.check(scope.data) ?? null
    if (wrong !== null) return begunOf(refuseRoute(job, { type: 'invalid-data', message: wrong, error: undefined }))
    if (route.idempotency !== undefined) return runOnce(job, route.idempotency, guardedSteps)
    return job.start(undefined) ? undefined : job.begun
  } catch (error) {
    return begunOf(refuseFault(job, error))
  }
}

/** Under a claim, the end waits for the dead letter. */
const guardedSteps: GuardedSteps = {
  start: (job, guard) => (job.start(guard) ? undefined : job.untilEnded()),
  refuse: async (job, cause) => settlementOf(await refuseRoute(job, cause)),
  fault: refuseFault,
}

/** A fault of our own. */
function refuseFault(job: RouteJob, error: unknown): RunEnd | Promise<RunEnd> {
  const cause = errorCause(error)
  const { topic, partition, offset } = job.scope
  job.delivery.execution.ports.log.error(
    { topic, partition, offset, route: job.route.id, error: stackOf(cause.error) ?? cause.message },
    'the route could not be run',
  )
  return refuseRoute(job, cause)
}

/**
 * One route on one message: its actions at their first try, for as long as they succeed. Where one has to wait, it waits for that alone, without a promise
 * of its own; what fails, or has to wait for more, goes on in `continueRoute`. Under a claim, `guard.actionsEnd` says more of the end.
 */
class RouteStart implements RouteJob, Ending, Waiter {
  readonly delivery: Delivery
  readonly route: RoutePlan
  readonly scope: MessageScope
  readonly counters: RouteCounters
  readonly progress: RouteProgress | undefined
  readonly isAlone: boolean
  #guard: ClaimGuard | undefined
  #results: Record<string, unknown> | undefined
  /** With the results. */
  #scope: MessageScope
  #position = 0
  #acted = 0
  #skipped = 0
  /** The one that is waited for. */
  #attempt: AttemptRun | undefined
  #dropped = false
  #ended: RunEnd | undefined
  #listener: ((end: RunEnd) => void) | undefined
  #failed: ((error: unknown) => void) | undefined

  constructor(
    delivery: Delivery,
    route: RoutePlan,
    scope: MessageScope,
    counters: RouteCounters,
    progress: RouteProgress | undefined,
    isAlone: boolean,
  ) {
    this.delivery = delivery
    this.route = route
    this.scope = scope
    this.counters = counters
    this.progress = progress
    this.isAlone = isAlone
    this.#scope = scope
  }

  /** True: all actions have been done. */
  start(guard: ClaimGuard | undefined): boolean {
    this.#guard = guard
    if (this.route.keepsResults) {
      // A replayed message brings the results of the actions that do not run again.
      const results: Record<string, unknown> = Object.assign(Object.create(null), this.scope.results)
      this.#results = results
      this.#scope = this.scope.withResults(results)
    }
    return this.#run()
  }

  /** Once it has started. */
  get begun(): Begun {
    return this.#ended === undefined ? this : begunOf(this.#ended)
  }

  whenEnded(listener: (end: RunEnd) => void): void {
    if (this.#ended === undefined) this.#listener = listener
    else listener(this.#ended)
  }

  /** Rejects where it fails by a fault of our own. */
  untilEnded(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#failed = reject
      this.whenEnded(() => resolve())
    })
  }

  resolved(value: unknown): void {
    try {
      const action = this.route.actions[this.#position]
      if (action !== undefined) this.#take(action, this.#breakerOf(action), value)
      this.#position++
      if (!this.#run()) return
    } catch (error) {
      this.#fault(error)
      return
    }
    this.delivery.turn?.leave('settled')
    this.#tell('settled')
  }

  rejected(error: unknown): void {
    const attempt = this.#attempt
    if (attempt === undefined) return
    try {
      this.#goOn({ attempt, error })
    } catch (fault) {
      this.#fault(fault)
    }
  }

  #run(): boolean {
    const { delivery, route, progress } = this
    for (; this.#position < route.actions.length && !this.#dropped; this.#position++) {
      const action = route.actions[this.#position]
      if (action === undefined) break
      if (action.when !== undefined && !action.when(this.#scope)) continue
      const breaker = this.#breakerOf(action)
      const waitsForMore = action.action.batch !== undefined || action.forEach !== undefined || progress !== undefined
      const isHindered = this.#guard?.isLost === true || breaker?.isOpen === true || delivery.assignment.state === 'released'
      if (waitsForMore || isHindered) return this.#goOn(undefined)
      const attempt = new AttemptRun(this.#scope, route, action.position, undefined, 1, delivery.plan.broker)
      let outcome: unknown
      try {
        outcome = action.action.run(this.#scope, attempt)
      } catch (error) {
        return this.#goOn({ attempt, error })
      }
      if (isPromiseLike(outcome)) {
        this.#guard?.hold()
        this.#attempt = attempt
        delivery.assignment.follow(outcome, action.timeoutMs, this, attempt, this.#guard)
        return false
      }
      this.#take(action, breaker, outcome)
    }
    endActions(this.counters, this.#guard, this.#dropped ? 'dropped' : wholeEnd(this.#acted, this.#skipped))
    return true
  }

  /** What an action that succeeded has answered. */
  #take(action: ActionPlan, breaker: Breaker | undefined, value: unknown): void {
    breaker?.succeeded()
    if (!(value instanceof ActionSignal)) {
      this.#acted++
      if (this.#results !== undefined && action.as !== undefined) this.#results[action.as] = value
    } else if (value.kind === 'drop') this.#dropped = true
    else {
      this.delivery.execution.counters.skipped(value.reason)
      this.#skipped++
    }
  }

  #breakerOf(action: ActionPlan): Breaker | undefined {
    return this.delivery.execution.breakers.of(this.route.id, action)
  }

  /** Without an attempt that has been made, the action at hand is still to be tried. Answers that the actions have not all been done. */
  #goOn(first: FirstTry | undefined): false {
    const run = runOf(this, this.#scope, this.#results, this.#guard, this.#acted, this.#skipped)
    const end = (first !== undefined && endAtOnce(run, this.#position, first)) || continueRoute(run, this.#position, first)
    if (end instanceof Promise)
      end.then(
        known => this.#tell(known),
        (error: unknown) => this.#fault(error),
      )
    else this.#tell(end)
    return false
  }

  #tell(end: RunEnd): void {
    this.#ended = end
    this.#listener?.(end)
  }

  /** Of our own. */
  #fault(error: unknown): void {
    if (this.#failed !== undefined) this.#failed(error)
    else endingOf(refuseFault(this, error)).whenEnded(end => this.#tell(end))
  }
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

/** This route does not run: the data fails its schema, or a fault of our own. */
function refuseRoute(
  { delivery, route, scope, counters }: RouteJob,
  cause: Pick<DeadLetterCause, 'type' | 'message' | 'error'>,
): RunEnd | Promise<RunEnd> {
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
