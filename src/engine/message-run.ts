import type { DeadLetterPolicy, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { DecodeFailure } from './decoded-event.ts'
import { decodeRecord } from './envelope.ts'
import { type Execution, errorCause, giveUp, type Settlement } from './execution.ts'
import { MessageScope } from './message-scope.ts'
import { readReplay, restOfRoute } from './replay.ts'
import { runRoute } from './route-run.ts'

/**
 * Runs one message through one version of the plan: decode, match, run every matching route side by side. Undefined when the message is
 * settled already; the promise never rejects.
 */
export function runMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
): Promise<Settlement> | undefined {
  try {
    return routeMessage(execution, assignment, plan, record)?.catch(error => refuseMessage(execution, assignment, plan, record, error))
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
): Promise<Settlement> {
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
): Promise<Settlement> | undefined {
  if (assignment.topic === plan.replayTopic) return replayMessage(execution, assignment, plan, record)
  return routeRecord(execution, assignment, plan, record)
}

/** A dead letter that was sent back: its route goes on where it failed. */
function replayMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
): Promise<Settlement> | undefined {
  const replay = readReplay(record)
  if (replay === undefined) {
    execution.counters.skipped('replayed-elsewhere')
    return undefined
  }
  if (typeof replay === 'string') return giveUpMessage(execution, assignment, plan, plan.deadLetter, record, 'replay', replay)
  if (replay.route === undefined) return routeRecord(execution, assignment, plan, replay.record)
  const rest = restOfRoute(plan, replay)
  const message = decodeMessage(execution, plan, replay.record)
  if (message instanceof DecodeFailure)
    return giveUpMessage(execution, assignment, plan, plan.deadLetter, replay.record, message.code, message.message)
  if (typeof rest !== 'string')
    return runRoute(execution, assignment, plan, rest, replay.results === undefined ? message : message.withResults(replay.results))
  const { record: original, route, action } = replay
  return giveUpMessage(execution, assignment, plan, plan.deadLetter, original, 'replay', rest, { route, action, results: replay.results })
}

function decodeMessage(execution: Execution, plan: SubscriptionPlan, record: SourceRecord): MessageScope | DecodeFailure {
  const decoded = decodeRecord(plan.envelope, record)
  if (!(decoded instanceof DecodeFailure)) return new MessageScope(record, decoded)
  execution.counters.undecodable++
  execution.counters.skipped(decoded.code)
  return decoded
}

function routeRecord(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  record: SourceRecord,
): Promise<Settlement> | undefined {
  const message = decodeMessage(execution, plan, record)
  if (message instanceof DecodeFailure)
    return giveUpMessage(execution, assignment, plan, plan.deadLetter, record, message.code, message.message)
  const routes = plan.match(message.event)
  const [only] = routes
  if (only === undefined) return runUnmatched(execution, assignment, plan, message)
  if (routes.length === 1) return runRoute(execution, assignment, plan, only, message)
  let waiting: Promise<Settlement>[] | undefined
  for (const route of routes) {
    const settlement = runRoute(execution, assignment, plan, route, message)
    if (settlement === undefined) continue
    waiting ??= []
    waiting.push(settlement)
  }
  return waiting === undefined ? undefined : allOf(waiting)
}

function runUnmatched(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  message: MessageScope,
): Promise<Settlement> | undefined {
  switch (plan.unmatched.policy) {
    case 'ignore':
      execution.counters.unmatched++
      return undefined
    case 'actions':
      return runRoute(execution, assignment, plan, plan.unmatched.route, message)
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

async function giveUpMessage(
  execution: Execution,
  assignment: Assignment,
  plan: SubscriptionPlan,
  policy: DeadLetterPolicy,
  record: SourceRecord,
  type: string,
  message: string,
  from: Pick<DeadLetterCause, 'route' | 'action' | 'results'> = { route: undefined, action: undefined },
): Promise<Settlement> {
  const outcome = await giveUp(execution, {
    record,
    assignment,
    policy,
    cause: { group: plan.group, ...from, attempts: 1, type, message, stack: undefined },
  })
  if (outcome === 'released') return 'released'
  const counters = execution.counters.route(`${plan.name}/(none)`)
  if (outcome === 'dead-lettered') counters.deadLettered++
  else counters.failed++
  return 'settled'
}

async function allOf(waiting: readonly Promise<Settlement>[]): Promise<Settlement> {
  const settlements = await Promise.all(waiting)
  return settlements.includes('released') ? 'released' : 'settled'
}
