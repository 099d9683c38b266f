import type { ActionPlan, BatchOutcome, RetryTopic, RoutePlan, SourceRecord } from '../compiler/plan.ts'
import { TemplateError } from '../compiler/scope.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased, AttemptRun, isPermanent } from './attempt-run.ts'
import { AwayWait, keepsAttempt } from './away-wait.ts'
import { type Batch, LeftBehind } from './batch.ts'
import type { Admission, Breaker } from './breaker.ts'
import { type ClaimGuard, LeaseLost } from './claim-guard.ts'
import type { RouteCounters } from './counters.ts'
import { type Execution, errorCause } from './execution.ts'
import type { Fate, LaneTurn } from './lane-turn.ts'
import type { MessageScope } from './message-scope.ts'
import { waitAfter } from './retry-delay.ts'
import { moveToRetryTopic, type RouteProgress } from './retry-topic.ts'
import type { Seat } from './seat.ts'

/** One route at work on one message. Made only once something has to wait. */
export interface RouteRun {
  readonly execution: Execution
  readonly assignment: Assignment
  readonly route: RoutePlan
  readonly counters: RouteCounters
  readonly scope: MessageScope
  readonly results: Record<string, unknown> | undefined
  readonly place: RoutePlace
  /** The claim it runs under; undefined without `idempotency`. */
  readonly guard: ClaimGuard | undefined
  /** Undefined where its messages share no batch, or the message has several routes. */
  readonly turn: LaneTurn | undefined
  /** Left while the route waits. */
  readonly seat: Seat
  /** What the route's first action did before the message waited in a retry topic. */
  readonly progress: RouteProgress | undefined
  /** Where it goes on under another claim. */
  readonly resumed: Resumed | undefined
  /** Of the `forEach` at work: what its elements answered. */
  values: unknown[]
  /** Actions that did something, as opposed to those left out. */
  acted: number
  skipped: number
  /** How an action with `continueOnError` was given up. */
  gaveUp: 'dead-lettered' | 'failed' | undefined
}

/** The action that a route was at when it lost its lease. */
export interface Resumed {
  readonly action: ActionPlan
  /** Tries that are used up: of the action, or of the element that it was at. */
  readonly attempts: number
  /** What the elements of its `forEach` answered that are done. */
  readonly values: readonly unknown[]
}

/** The subscription's side of a route: what dead letters and emits name. */
export interface RoutePlace {
  readonly group: string
  readonly broker: string
  readonly retryTopics: readonly RetryTopic[]
}

/** The first try of an action, already under way: its promise, or what it threw. */
export type FirstTry = { readonly attempt: AttemptRun } & ({ readonly result: PromiseLike<unknown> } | { readonly error: unknown })

export type ActionEnd =
  | { readonly kind: 'value'; readonly value: unknown }
  /** Left out for every element of a forEach. */
  | { readonly kind: 'skipped' }
  | { readonly kind: 'failed'; readonly error: unknown; readonly attempts: number }
  | { readonly kind: 'released' }
  /** `attempts`: how many are used up. The one that was cut off is not. */
  | { readonly kind: 'lease-lost'; readonly attempts: number }
  /** It goes on from a retry topic. */
  | { readonly kind: 'moved' }

/** Tries one action until it succeeds, fails for good, or the partition is given up. */
export async function tryAction(
  run: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  element: number | undefined,
  first: FirstTry | undefined,
): Promise<ActionEnd> {
  const away = new AwayWait(run.execution, { route: run.route.id, action: actionName(action) })
  const end = await tryAgain(run, action, scope, element, first, away)
  away.end(end.kind === 'value')
  return end
}

async function tryAgain(
  run: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  element: number | undefined,
  first: FirstTry | undefined,
  away: AwayWait,
): Promise<ActionEnd> {
  const { assignment, execution, seat } = run
  const breaker = execution.breakers.of(run.route.id, action)
  const turn = element === undefined && run.turn?.heading === action ? run.turn : undefined
  let started = first
  for (let number = triesBefore(run, action, element) + 1; ; number++) {
    const asked = started === undefined ? admit(breaker, turn, run) : 'go'
    const admission = typeof asked === 'string' ? asked : await asked
    if (admission === 'released') return { kind: 'released' }
    const hindrance = started === undefined ? hindranceOf(run) : undefined
    if (hindrance !== undefined) {
      breaker?.leave(admission)
      return { kind: hindrance, attempts: number - 1 }
    }
    const attempt = started?.attempt ?? new AttemptRun(scope, run.route, action.position, element, number, run.place.broker)
    const batch = action.action.batch === undefined ? undefined : execution.batches.open(action, action.action.batch)
    let outcome: BatchOutcome
    try {
      const result = batch?.join({ scope, attempt, assignment, guard: run.guard, turn })
      outcome = { value: await (result ?? outcomeOf(run, action, scope, attempt, started)) }
    } catch (error) {
      outcome = { error }
    }
    started = undefined
    const fate = turn === undefined || batch === undefined ? 'own' : await fateOf(run, outcome, turn, batch, action)
    if (fate !== 'own') {
      breaker?.leave(admission)
      if (fate === 'released') return { kind: 'released' }
      // It has not failed itself: no attempt is used up, and it waits for the one before it.
      turn?.again()
      number--
      continue
    }
    if ('value' in outcome) {
      breaker?.succeeded()
      return atItsTurn(run, turn, { kind: 'value', value: outcome.value })
    }
    const failure = outcome.error
    if (keepsAttempt(failure)) {
      breaker?.leave(admission)
      turn?.again()
      if (!(await seat.awayFor(assignment, () => away.pause(assignment, failure)))) return { kind: 'released' }
      number--
      continue
    }
    const isUsedUp = breaker === undefined || tellBreaker(breaker, admission, failure, scope, batch)
    if (failure instanceof AttemptReleased) return { kind: 'released' }
    if (failure instanceof LeaseLost) {
      turn?.again()
      return { kind: 'lease-lost', attempts: number - 1 }
    }
    const isFinal = isPermanent(failure) || (isUsedUp && number >= action.retry.attempts)
    if (isFinal) return atItsTurn(run, turn, { kind: 'failed', error: failure, attempts: number })
    const inTopic = action.retry.mode === 'topics' && isUsedUp
    if (!inTopic) turn?.again()
    if (!isUsedUp) {
      number--
      continue
    }
    const retryInMs = planRetry(run, action, scope, number, failure, inTopic)
    if (inTopic) {
      const end = await moveOn(run, action, element, failure, number, retryInMs)
      if (end !== 'refused') return { kind: end }
      turn?.again()
    }
    if (execution.startsOver(run.place) || !(await seat.awayFor(assignment, () => assignment.wait(retryInMs)))) return { kind: 'released' }
  }
}

/** Tries before the lease was lost, or before the message waited in a retry topic: of the action that this was at, and of its element. */
function triesBefore({ resumed, progress, route }: RouteRun, action: ActionPlan, element: number | undefined): number {
  if (resumed?.action === action) return element === undefined || element === resumed.values.length ? resumed.attempts : 0
  if (progress === undefined || action !== route.actions[0]) return 0
  return element === undefined || element === progress.elements ? progress.attempts : 0
}

async function moveOn(
  { execution, assignment, seat, place, route, scope, results, values, gaveUp }: RouteRun,
  action: ActionPlan,
  element: number | undefined,
  failure: unknown,
  attempts: number,
  waitMs: number,
): Promise<'moved' | 'released' | 'refused'> {
  const partial = results === undefined || action.as === undefined || element === undefined ? results : { ...results, [action.as]: values }
  const end = await moveToRetryTopic(execution, {
    record: scope.record,
    assignment,
    seat,
    topics: place.retryTopics,
    cause: { group: place.group, route: route.id, action: actionName(action), attempts, results: partial, ...errorCause(failure) },
    progress: { attempts, elements: element ?? 0, gaveUp },
    waitMs,
  })
  return end === 'written' ? 'moved' : end
}

/** How long it waits, in ms; says so. */
function planRetry(
  { execution, place, route }: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  attempt: number,
  failure: unknown,
  inTopic: boolean,
): number {
  execution.counters.retries++
  const isAtOnce = !inTopic && execution.startsOver(place)
  const retryInMs = isAtOnce ? 0 : waitAfter(action.retry, attempt, failure, execution.ports.random)
  const cause = errorCause(failure)
  const { topic, partition, offset } = scope
  execution.ports.log.info(
    { topic, partition, offset, route: route.id, action: actionName(action), attempt, retryInMs, error: cause.type },
    `failed, ${isAtOnce ? 'starting again on what was saved' : 'trying again'}: ${cause.message}`,
  )
  execution.ports.observer?.retryPlanned({
    record: scope.record,
    route,
    position: action.position,
    attempt,
    retryInMs,
    error: `${cause.type}: ${cause.message}`,
  })
  return retryInMs
}

/** Waits for the messages before it, and while the breaker is open. Behind others in a batch it makes no call of its own that the breaker could hold up. */
function admit(breaker: Breaker | undefined, turn: LaneTurn | undefined, run: RouteRun): Admission | Promise<Admission> {
  switch (turn?.entry) {
    case 'released':
      return 'released'
    case 'behind':
      return 'go'
    case 'wait':
      return run.seat
        .behind(run.assignment, () => turn.changed())
        .then(isLeaving => (isLeaving === 'released' ? 'released' : admit(breaker, turn, run)))
    case 'first':
    case undefined:
      return breaker?.isOpen === true ? admitBy(breaker, run) : 'go'
  }
}

/** Waits away from its place, and asks again where the breaker has opened anew before there was one. */
async function admitBy(breaker: Breaker, { assignment, scope, seat }: RouteRun): Promise<Admission> {
  for (;;) {
    seat.goAway()
    const admission = await breaker.admit(assignment, sourceOf(scope.record))
    if (admission === 'released') {
      seat.comeBack()
      return 'released'
    }
    if (!(await seat.untilBack(assignment))) {
      breaker.leave(admission)
      return 'released'
    }
    if (admission === 'probe' || !breaker.isOpen) return admission
  }
}

/** An earlier message of its key that failed in the same call makes this one run again, whatever became of it, unless a failure gives up the order. */
function fateOf(
  { assignment, seat }: RouteRun,
  outcome: BatchOutcome,
  turn: LaneTurn,
  batch: Batch,
  { retry }: ActionPlan,
): Fate | Promise<Fate> {
  if ('error' in outcome && outcome.error instanceof LeftBehind) return 'again'
  if (retry.mode === 'topics') return 'own'
  if ('error' in outcome && (outcome.error instanceof AttemptReleased || outcome.error instanceof LeaseLost)) return 'own'
  return turn.follows ? seat.behind(assignment, () => turn.fateIn(batch)) : 'own'
}

/** What comes after a call that messages of one key have shared, they do one after the other. */
async function atItsTurn({ assignment, seat }: RouteRun, turn: LaneTurn | undefined, end: ActionEnd): Promise<ActionEnd> {
  turn?.through()
  if (turn?.follows !== true) return end
  return (await seat.behind(assignment, () => turn.untilFirst())) === true ? end : { kind: 'released' }
}

/** Why nothing more may start. */
function hindranceOf({ assignment, guard }: RouteRun): 'released' | 'lease-lost' | undefined {
  if (assignment.state === 'released') return 'released'
  return guard?.isLost === true ? 'lease-lost' : undefined
}

/** A first try that need not be made again. */
export function failsForGood({ execution, route, scope }: RouteRun, action: ActionPlan, failure: unknown): boolean {
  if (!isPermanent(failure) || keepsAttempt(failure)) return false
  const breaker = execution.breakers.of(route.id, action)
  if (breaker !== undefined) tellBreaker(breaker, 'go', failure, scope, undefined)
  return true
}

/**
 * What was given up says nothing of the dependency, nor does a template that did not come so far; what it refuses for good it has answered, and so
 * it has where other messages of the call fared better. True where the attempt is used up.
 */
function tellBreaker(
  breaker: Breaker,
  admission: Admission,
  failure: unknown,
  { record }: MessageScope,
  batch: Batch | undefined,
): boolean {
  if (failure instanceof AttemptReleased || failure instanceof LeaseLost || failure instanceof TemplateError) breaker.leave(admission)
  else if (isPermanent(failure) || batch?.isAnswered === true) breaker.succeeded()
  else return breaker.failed(admission, sourceOf(record))
  return true
}

/** What messages of one key have in common, and a message without a key with no other. */
function sourceOf({ key, topic, partition, offset }: SourceRecord): string {
  return key === null ? `${topic}/${partition}/${offset}` : `=${key.toString('latin1')}`
}

function outcomeOf(
  { assignment, guard }: RouteRun,
  action: ActionPlan,
  scope: MessageScope,
  attempt: AttemptRun,
  started: FirstTry | undefined,
): unknown {
  if (started !== undefined && 'error' in started) throw started.error
  const outcome = started === undefined ? action.action.run(scope, attempt) : started.result
  return isPromiseLike(outcome) ? assignment.settle(outcome, action.timeoutMs, attempt, guard) : outcome
}

export function actionName(action: ActionPlan): string {
  return `${action.position}:${action.action.kind}`
}

export function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
