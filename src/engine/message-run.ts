import type { ActionPlan, DeadLetterPolicy, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { DecodeFailure } from './decoded-event.ts'
import { decodeRecord } from './envelope.ts'
import { type Execution, errorCause, type RunEnd, type Settlement } from './execution.ts'
import { endGivenUp } from './give-up.ts'
import type { LaneTurn } from './lane-turn.ts'
import { MessageScope } from './message-scope.ts'
import { readReplay, readRetry, restOfRoute } from './replay.ts'
import { runRoute } from './route-run.ts'
import type { Seat } from './seat.ts'

/**
 * How a message starts. Undefined: it is settled already. `too-early`: nothing was done, since messages of its lane are at work that it does
 * not share a batch with. The promise never rejects.
 */
export type Started = Promise<RunEnd> | undefined | 'too-early'

/**
 * Runs one message through one version of the plan: decode, match, run every matching route side by side. `turn`: its place in its lane, where
 * messages can share batches.
 */
export function runMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
  turn: LaneTurn | undefined,
  seat: Seat,
): Started {
  try {
    const started = routeMessage(execution, assignment, plan, record, turn, seat)
    if (started === undefined || started === 'too-early') return started
    return started.catch(error => refuseMessage(execution, assignment, plan, record, error))
  } catch (error) {
    return refuseMessage(execution, assignment, plan, record, error)
  }
}

/** A fault of our own must neither take the consumer down nor lose the message. */
function refuseMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
  error: unknown,
): Promise<RunEnd> {
  const { topic, partition, offset } = record
  const cause = errorCause(error)
  execution.ports.log.error({ topic, partition, offset, error: cause.stack }, 'the message could not be processed; please report this')
  return giveUpMessage(execution, assignment, plan, plan.deadLetter, record, cause.type, cause.message)
}

function routeMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
  turn: LaneTurn | undefined,
  seat: Seat,
): Started {
  if (!assignment.isRetry && assignment.topic !== plan.replayTopic) return routeRecord(execution, assignment, plan, record, turn, seat)
  return turn?.follows === true ? 'too-early' : replayMessage(execution, assignment, plan, record, seat)
}

/** A dead letter that was sent back, or a message whose next try is due: its route goes on where it failed. */
function replayMessage(execution: Execution, assignment: Assignment, plan: SubscriptionPlan, record: SourceRecord, seat: Seat): Started {
  const replay = assignment.isRetry ? readRetry(record) : readReplay(record)
  const kind = assignment.isRetry ? 'retry' : 'replay'
  if (replay === undefined) {
    execution.counters.skipped('replayed-elsewhere')
    return undefined
  }
  if (typeof replay === 'string') return giveUpMessage(execution, assignment, plan, plan.deadLetter, record, kind, replay)
  execution.ports.observer?.replayed(record, replay.record)
  if (replay.route === undefined) return routeRecord(execution, assignment, plan, replay.record, undefined, seat)
  const rest = restOfRoute(plan, replay)
  const message = decodeMessage(plan, replay.record)
  if (message instanceof DecodeFailure) return refuseUndecodable(execution, assignment, plan, replay.record, message)
  if (typeof rest !== 'string')
    return runRoute(
      execution,
      assignment,
      plan,
      rest,
      replay.results === undefined ? message : message.withResults(replay.results),
      undefined,
      seat,
      replay.progress,
    )
  const { record: original, route, action } = replay
  return giveUpMessage(execution, assignment, plan, plan.deadLetter, original, kind, rest, {
    route,
    action,
    results: replay.results,
    attempts: replay.progress?.attempts,
  })
}

function decodeMessage(plan: SubscriptionPlan, record: SourceRecord): MessageScope | DecodeFailure {
  const decoded = decodeRecord(plan.envelope, record)
  return decoded instanceof DecodeFailure ? decoded : new MessageScope(record, decoded)
}

function refuseUndecodable(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
  { code, message }: DecodeFailure,
): Promise<RunEnd> {
  execution.counters.undecodable++
  execution.counters.skipped(code)
  return giveUpMessage(execution, assignment, plan, plan.deadLetter, record, code, message)
}

function routeRecord(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
  turn: LaneTurn | undefined,
  seat: Seat,
): Started {
  const message = decodeMessage(plan, record)
  if (turn !== undefined && !takesItsTurn(turn, plan, message)) return 'too-early'
  if (message instanceof DecodeFailure) return refuseUndecodable(execution, assignment, plan, record, message)
  const routes = plan.match(message.event)
  const [only] = routes
  if (only === undefined) return runUnmatched(execution, assignment, plan, message, turn, seat)
  if (routes.length === 1) return runRoute(execution, assignment, plan, only, message, turn, seat)
  let waiting: Promise<RunEnd>[] | undefined
  for (const route of routes) {
    seat.join()
    const settlement = runRoute(execution, assignment, plan, route, message, undefined, seat, undefined, false)
    if (settlement === undefined) {
      seat.leave()
      continue
    }
    waiting ??= []
    waiting.push(settlement)
  }
  return waiting === undefined ? undefined : allOf(waiting, seat)
}

/**
 * Decides what the message is about to do, and whether it may while messages of its lane are at work: if it goes into the same batch first of all,
 * or does nothing.
 */
function takesItsTurn(turn: LaneTurn, plan: SubscriptionPlan, message: MessageScope | DecodeFailure): boolean {
  if (message instanceof DecodeFailure) return !turn.follows
  const routes = plan.match(message.event)
  if (routes.length === 0 && plan.unmatched.policy === 'ignore') return true
  const [only] = routes.length === 0 && plan.unmatched.policy === 'actions' ? [plan.unmatched.route] : routes
  const heading = only === undefined || routes.length > 1 ? undefined : sharedBatch(only, message)
  if (!turn.mayGoTo(heading)) return false
  turn.heading = heading
  return true
}

/** The batch action that is the first thing the route does. */
function sharedBatch({ actions: [first] }: RoutePlan, message: MessageScope): ActionPlan | undefined {
  if (first?.action.batch === undefined || first.forEach !== undefined) return undefined
  return first.when === undefined || first.when(message) ? first : undefined
}

function runUnmatched(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  message: MessageScope,
  turn: LaneTurn | undefined,
  seat: Seat,
): Promise<RunEnd> | undefined {
  switch (plan.unmatched.policy) {
    case 'ignore':
      execution.counters.unmatched++
      return undefined
    case 'actions':
      return runRoute(execution, assignment, plan, plan.unmatched.route, message, turn, seat)
    case 'dead-letter':
      return giveUpMessage(
        execution,
        assignment,
        plan,
        plan.deadLetter,
        message.record,
        'unmatched',
        `no route names the event ${message.event ?? '(none)'}`,
      )
  }
}

function giveUpMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  policy: DeadLetterPolicy,
  record: SourceRecord,
  type: string,
  message: string,
  from: Pick<DeadLetterCause, 'route' | 'action' | 'results'> & { readonly attempts?: number | undefined } = {
    route: undefined,
    action: undefined,
  },
): Promise<RunEnd> {
  const cause = { group: plan.group, ...from, attempts: from.attempts ?? 1, type, message, stack: undefined }
  return endGivenUp(execution, { record, assignment, policy, cause }, execution.counters.route(`${plan.name}/(none)`))
}

/** Each route leaves when it ends; the last one's leave is the message's own. */
async function allOf(waiting: readonly Promise<RunEnd>[], seat: Seat): Promise<RunEnd> {
  let left = waiting.length
  for (const route of waiting)
    void route.then(() => {
      if (--left > 0) seat.leave()
    })
  seat.leave()
  const ends = await Promise.all(waiting)
  const settlements = ends.map(end => (typeof end === 'string' ? end : end.settlement))
  if (settlements.every(settlement => typeof settlement === 'string')) return inAll(settlements)
  return { settlement: Promise.all(settlements).then(inAll) }
}

function inAll(settlements: readonly Settlement[]): Settlement {
  return settlements.includes('released') ? 'released' : 'settled'
}
