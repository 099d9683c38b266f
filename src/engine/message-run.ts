import type { ActionPlan, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { DecodeFailure } from './decoded-event.ts'
import type { Delivery } from './delivery.ts'
import { type Begun, begunOf, type Ending, endingOf, isUnsettled } from './ending.ts'
import { decodeRecord } from './envelope.ts'
import { errorCause, type RunEnd, settlementOf } from './execution.ts'
import { endGivenUp } from './give-up.ts'
import type { LaneTurn } from './lane-turn.ts'
import { MessageScope } from './message-scope.ts'
import { readReplay, readRetry, restOfRoute } from './replay.ts'
import { runRoute } from './route-run.ts'
import type { Seat } from './seat.ts'
import { stackOf } from './stack-of.ts'

/**
 * How a message starts. `too-early`: nothing was done, since messages of its lane are at work that it does not share a batch with.
 */
export type Started = Begun | 'too-early'

/** Runs one message through one version of the plan: decode, match, run every matching route side by side. */
export function runMessage(delivery: Delivery, record: SourceRecord): Started {
  try {
    return routeMessage(delivery, record)
  } catch (error) {
    return refuseFault(delivery, record, error)
  }
}

/** A fault of our own must neither take the consumer down nor lose the message. */
function refuseFault(delivery: Delivery, record: SourceRecord, error: unknown): Begun {
  const { topic, partition, offset } = record
  const cause = errorCause(error)
  delivery.execution.ports.log.error(
    { topic, partition, offset, error: stackOf(cause.error) ?? cause.message },
    'the message could not be processed; please report this',
  )
  return giveUpMessage(delivery, record, cause.type, cause.message)
}

function routeMessage(delivery: Delivery, record: SourceRecord): Started {
  const { assignment, plan, turn } = delivery
  if (!assignment.isRetry && assignment.topic !== plan.replayTopic) return routeRecord(delivery, record)
  return turn?.follows === true ? 'too-early' : replayMessage({ ...delivery, turn: undefined }, record)
}

/** A dead letter that was sent back, or a message whose next try is due: its route goes on where it failed. */
function replayMessage(delivery: Delivery, record: SourceRecord): Started {
  const { execution, assignment, plan } = delivery
  const replay = assignment.isRetry ? readRetry(record) : readReplay(record)
  const kind = assignment.isRetry ? 'retry' : 'replay'
  if (replay === undefined) {
    execution.counters.skipped('replayed-elsewhere')
    return undefined
  }
  if (typeof replay === 'string') return giveUpMessage(delivery, record, kind, replay)
  execution.ports.observer?.replayed(record, replay.record)
  if (replay.route === undefined) return routeRecord(delivery, replay.record)
  const rest = restOfRoute(plan, replay)
  const message = decodeMessage(plan, replay.record)
  if (message instanceof DecodeFailure) return refuseUndecodable(delivery, replay.record, message)
  if (typeof rest !== 'string')
    return runRoute(delivery, rest, replay.results === undefined ? message : message.withResults(replay.results), replay.progress)
  const { record: original, route, action } = replay
  return giveUpMessage(delivery, original, kind, rest, {
    route,
    action,
    results: replay.results,
    attempts: replay.progress?.attempts,
  })
}

function decodeMessage(plan: SubscriptionPlan, record: SourceRecord): MessageScope | DecodeFailure {
  const decoded = decodeRecord(plan, record)
  return decoded instanceof DecodeFailure ? decoded : new MessageScope(record, decoded)
}

function refuseUndecodable(delivery: Delivery, record: SourceRecord, { code, message }: DecodeFailure): Begun {
  delivery.execution.counters.undecodable++
  delivery.execution.counters.skipped(code)
  return giveUpMessage(delivery, record, code, message)
}

function routeRecord(delivery: Delivery, record: SourceRecord): Started {
  const { plan, turn } = delivery
  const message = decodeMessage(plan, record)
  if (turn !== undefined && !takesItsTurn(turn, plan, message)) return 'too-early'
  if (message instanceof DecodeFailure) return refuseUndecodable(delivery, record, message)
  const routes = plan.match(message.event)
  const [only] = routes
  if (only === undefined) return runUnmatched(delivery, message)
  return routes.length === 1 ? runRoute(delivery, only, message) : runRoutes(delivery, routes, message)
}

function runRoutes(shared: Delivery, routes: readonly RoutePlan[], message: MessageScope): Begun {
  const { seat } = shared
  const delivery = shared.turn === undefined ? shared : { ...shared, turn: undefined }
  let waiting: Ending[] | undefined
  for (const route of routes) {
    seat.join()
    const begun = runRoute(delivery, route, message, undefined, false)
    if (begun === undefined) {
      seat.leave()
      continue
    }
    waiting ??= []
    waiting.push(isUnsettled(begun) ? endingOf(begun) : begun)
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

function runUnmatched(delivery: Delivery, message: MessageScope): Begun {
  const { unmatched } = delivery.plan
  switch (unmatched.policy) {
    case 'ignore':
      delivery.execution.counters.unmatched++
      return undefined
    case 'actions':
      return runRoute(delivery, unmatched.route, message)
    case 'dead-letter':
      return giveUpMessage(delivery, message.record, 'unmatched', `no route names the event ${message.event ?? '(none)'}`)
  }
}

type Origin = Pick<DeadLetterCause, 'route' | 'action' | 'results'> & { readonly attempts?: number | undefined }

function giveUpMessage(
  { execution, assignment, plan, seat }: Delivery,
  record: SourceRecord,
  type: string,
  message: string,
  from: Origin = { route: undefined, action: undefined },
): Begun {
  const cause = { group: plan.group, ...from, attempts: from.attempts ?? 1, type, message, error: undefined }
  const given = { record, assignment, seat, policy: plan.deadLetter, cause }
  return begunOf(endGivenUp(execution, given, execution.counters.route(`${plan.name}/(none)`)))
}

/** Each route leaves when it ends; the last one's leave is the message's own. */
function allOf(waiting: readonly Ending[], seat: Seat): Ending {
  seat.leave()
  return {
    whenEnded: listener => {
      const ends: RunEnd[] = []
      for (const route of waiting)
        route.whenEnded(end => {
          if (ends.push(end) < waiting.length) seat.leave()
          else listener(inAll(ends))
        })
    },
  }
}

function inAll(ends: readonly RunEnd[]): RunEnd {
  // Whatever becomes of the letters of the others.
  if (ends.includes('released')) return 'released'
  if (ends.every(end => end === 'settled')) return 'settled'
  const settlements = ends.map(settlementOf)
  return { whenSettled: listener => void Promise.all(settlements).then(all => listener(all.includes('released') ? 'released' : 'settled')) }
}
