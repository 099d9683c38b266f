import type { ActionPlan, Attempt, BatchUse, RoutePlan, RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { SubscriptionCounters } from '../engine/counters.ts'
import { readsTopic } from '../engine/explain.ts'
import type { DeadLetterRecord, EngineLog, IdempotencyPort } from '../engine/ports.ts'
import { SubscriptionProcessor } from '../engine/subscription-processor.ts'
import { IdempotencyKeys } from '../runtime/idempotency-keys.ts'
import { encodeMessage, testEpoch } from './encode-message.ts'
import { Places, withOffsets } from './places.ts'
import type { Outcome, Recorder } from './recorder.ts'
import type { CompleteMessage, Mock } from './test-file.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface CaseOutcome extends Outcome {
  /** Ids of the routes that took some message, in file order. */
  readonly routes: readonly string[]
  /** The most attempts that one action took; 0 where none ran. */
  readonly attempts: number
  /** Reasons, once for each thing left out; `duplicate` once for each route that had completed the key. */
  readonly skipped: readonly string[]
  /** Topics of given messages that no route file reads. */
  readonly unread: readonly string[]
  /** Something was still at work after a day of virtual time. */
  readonly isUnfinished: boolean
}

export interface CaseInput {
  readonly plan: RoutingPlan
  readonly recorder: Recorder
  readonly given: readonly CompleteMessage[]
  readonly mocks: ReadonlyMap<string, Mock>
}

/** Longest case, in virtual time. */
const longestMs = 24 * 60 * 60 * 1000

/** Runs messages through the engine that also runs in production, in virtual time: retries take none. Every case starts from nothing. */
export async function runCase({ plan, recorder, given, mocks }: CaseInput): Promise<CaseOutcome> {
  const places = new Places(plan, given)
  recorder.start(mocks, letter => places.ofLetter(letter))
  const clock = new VirtualClock(testEpoch, () => recorder.whenQuiet())
  const attempts = { most: 0 }
  const config = { store: 'memory', ttlMs: longestMs, leaseMs: longestMs } as const
  const keys = await IdempotencyKeys.open({ config, root: '', log: silentLog }, plan)
  const running = plan.subscriptions
    .filter(subscription => given.some(({ topic }) => readsTopic(subscription, topic)))
    .map(subscription => startProcessor(watched(subscription, recorder, places, attempts), clock, recorder, keys))
  for (const { processor } of running) deliver(processor, given)
  await clock.runOut(longestMs)
  const isUnfinished = running.some(({ processor }) => isAtWork(processor))
  await Promise.all([...running.map(({ processor }) => processor.drain(0)), clock.runOut(longestMs)])
  return {
    ...recorder.outcome,
    routes: running.flatMap(({ processor, counters }) => routesTaken(processor.plan, counters)),
    attempts: attempts.most,
    skipped: running.flatMap(({ counters }) => skippedBy(counters)),
    unread: [...new Set(given.map(({ topic }) => topic))].filter(topic => !plan.subscriptions.some(one => readsTopic(one, topic))),
    isUnfinished,
  }
}

const silent = () => {}
const silentLog: EngineLog = { debug: silent, info: silent, warn: silent, error: silent }

function startProcessor(plan: SubscriptionPlan, clock: VirtualClock, recorder: Recorder, idempotency: IdempotencyPort) {
  const counters = new SubscriptionCounters()
  const processor: SubscriptionProcessor = new SubscriptionProcessor({
    plan,
    counters,
    rebalanceMs: () => 0,
    ports: {
      clock,
      // The longest wait that jitter allows.
      random: () => 1,
      log: silentLog,
      idempotency,
      writeDeadLetter: recorder.writeDeadLetter,
      writeRetry: async retry => deliverRetry(processor, retry, clock.now()),
    },
  })
  processor.attach({ pause: silent, resume: silent, commit: async () => {} })
  return { processor, counters }
}

/** Its place is the end of the topic's one partition, where it waits until it is due. */
function deliverRetry(processor: SubscriptionProcessor, retry: DeadLetterRecord, timestamp: number): void {
  const assignment = [...processor.assignments].find(({ topic }) => topic === retry.topic)
  const offset = Math.max(0, assignment?.highWatermark ?? 0)
  processor.records(retry.topic, 0, [{ ...retry, partition: 0, offset, timestamp }], offset + 1, offset + 1)
}

function deliver(processor: SubscriptionProcessor, given: CaseInput['given']): void {
  const { plan } = processor
  const read = given.filter(({ topic }) => readsTopic(plan, topic))
  const topics = new Set([...read, ...plan.retryTopics].map(({ topic }) => topic))
  processor.assigned([...topics].map(topic => ({ topic, partition: 0 })))
  for (const [message, offset] of withOffsets(read))
    processor.records(message.topic, 0, [encodeMessage(plan.envelope, message, message.topic, offset)], offset + 1, offset + 1)
}

/** The same plan, noting each attempt and telling the recorder where it belongs. */
function watched(subscription: SubscriptionPlan, recorder: Recorder, places: Places, attempts: { most: number }): SubscriptionPlan {
  const placeOf = ({ position }: ActionPlan, { topic, offset }: Scope, { route, element, number }: Attempt) => {
    attempts.most = Math.max(attempts.most, number)
    return places.of(topic, offset, route.id, position, element)
  }
  const watchBatch = (plan: ActionPlan, batch: BatchUse): BatchUse => ({
    ...batch,
    call(members, signal) {
      const all = members.map(({ scope, attempt }) => [`${scope.topic}/${scope.offset}`, placeOf(plan, scope, attempt)] as const)
      return recorder.withinMany(new Map(all), () => batch.call(members, signal))
    },
  })
  const watchAction = (plan: ActionPlan): ActionPlan => ({
    ...plan,
    // A case looks at each message for itself.
    breaker: undefined,
    action: {
      ...plan.action,
      run: (scope, attempt) => recorder.within(placeOf(plan, scope, attempt), () => plan.action.run(scope, attempt)),
      ...(plan.action.batch === undefined ? {} : { batch: watchBatch(plan, plan.action.batch) }),
    },
  })
  const watchRoute = (route: RoutePlan): RoutePlan => ({ ...route, actions: route.actions.map(watchAction) })
  const routes = new Map(subscription.routes.map(route => [route, watchRoute(route)]))
  const { unmatched } = subscription
  return {
    ...subscription,
    routes: [...routes.values()],
    unmatched: unmatched.policy === 'actions' ? { ...unmatched, route: watchRoute(unmatched.route) } : unmatched,
    match: event => subscription.match(event).map(route => routes.get(route) ?? route),
  }
}

function routesTaken(plan: SubscriptionPlan, counters: SubscriptionCounters): readonly string[] {
  const all = plan.unmatched.policy === 'actions' ? [...plan.routes, plan.unmatched.route] : plan.routes
  return all
    .map(({ id }) => id)
    .filter(id => {
      const { done = 0, skipped = 0, dropped = 0, deadLettered = 0, failed = 0 } = counters.routes.get(id) ?? {}
      return done + skipped + dropped + deadLettered + failed > 0
    })
}

/** What the engine left out, and the routes that had completed a message's idempotency key before. */
function skippedBy({ skips, routes }: SubscriptionCounters): readonly string[] {
  const duplicates = [...routes.values()].reduce((sum, { duplicate }) => sum + duplicate, 0)
  return [...skips, ['duplicate', duplicates] as const].flatMap(([reason, count]) => new Array<string>(count).fill(reason))
}

function isAtWork({ assignments }: SubscriptionProcessor): boolean {
  return [...assignments].some(({ running, stopped }) => running > 0 && !stopped)
}
