import { durationBoundsMs, type RouteCounters } from '../engine/counters.ts'
import type { RouteSnapshot, SubscriptionSnapshot } from '../observe/snapshots.ts'
import type { SubscriptionRunner } from './subscription-runner.ts'

/** The state of one subscription as the metrics take it. */
export function snapshotOf(runner: SubscriptionRunner): SubscriptionSnapshot {
  const { processor, connected } = runner
  const { counters } = processor
  const assignments = [...processor.assignments]
  return {
    subscription: processor.plan.name,
    received: counters.received,
    settled: counters.settled,
    doneBefore: counters.doneBefore,
    unmatched: counters.unmatched,
    undecodable: counters.undecodable,
    routes: [...counters.routes].map(([route, of]) => routeSnapshot(route, of)),
    skips: counters.skips,
    retries: counters.retries,
    inFlight: processor.held.messages,
    partitions: assignments.map(assignment => ({
      topic: assignment.topic,
      partition: assignment.partition,
      lag: assignment.highWatermark < 0 ? undefined : assignment.lag,
    })),
    connected,
    isUnshared: runner.isUnshared,
    pausedPartitions: assignments.filter(assignment => assignment.paused || assignment.stopped).length,
    released: counters.released,
    repeated: counters.repeated,
    commitFailures: counters.commitFailures,
    deadLetterWriteFailures: counters.deadLetterFailures,
    deadLetterReferences: counters.deadLetterReferences,
    retryTopics: { messages: counters.retriesInTopics, writeFailures: counters.retryTopicFailures },
    batches: { calls: counters.batchCalls, messages: counters.batchMessages },
    breakers: { opened: counters.breakerOpened, open: counters.breakersOpen },
    idempotency: {
      waits: counters.idempotencyWaits,
      leasesLost: counters.leasesLost,
      storeFailures: counters.storeFailures,
      waitingForStore: counters.waitingForStore,
      isUnshared: runner.isUnguarded,
    },
    waitingForHistory: counters.waitingForHistory,
    durations: { boundsMs: durationBoundsMs, counts: counters.durations, sumMs: counters.durationSumMs },
  }
}

function routeSnapshot(route: string, { done, filtered, skipped, dropped, duplicate, deadLettered, failed }: RouteCounters): RouteSnapshot {
  return { route, outcomes: { done, filtered, skipped, dropped, duplicate, dead_lettered: deadLettered, failed } }
}
