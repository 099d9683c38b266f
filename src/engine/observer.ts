import type { ActionPlan, Attempt, BatchOutcome, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import type { Settlement } from './execution.ts'

/**
 * Somebody who looks on while messages run: the inspector's page. Called synchronously on the way of every message, so that it has to be quick,
 * and must not throw. A record is known again by its identity. Without an observer nothing of this costs anything: the plan that reports
 * (`observePlan`) is not made, and all other calls stand where something has failed or waits anyway.
 */
export interface EngineObserver {
  /** Told again for a message that could not start yet: those before it in its lane are at work. */
  started(plan: SubscriptionPlan, record: SourceRecord): void
  ended(plan: SubscriptionPlan, record: SourceRecord, settlement: Settlement): void
  /** A dead letter that was sent back, or a message from a retry topic: what follows is told of the record that it once was. */
  replayed(carrier: SourceRecord, original: SourceRecord): void
  /** The route names the event and does not run. */
  leftOut(route: RoutePlan, record: SourceRecord, why: 'condition' | 'duplicate'): void
  /** An attempt starts. The answer is told how it ended; undefined where this message is not looked at. */
  attempting(action: ActionPlan, scope: Scope, attempt: Attempt): ((end: BatchOutcome) => void) | undefined
  retryPlanned(retry: PlannedRetry): void
  /** The message, or one route of it, is given up. */
  gaveUp(end: GivenUpEnd): void
}

export interface PlannedRetry {
  readonly record: SourceRecord
  readonly route: RoutePlan
  /** Of the action. */
  readonly position: number
  /** The attempt that failed, from 1. */
  readonly attempt: number
  readonly retryInMs: number
  /** `<type>: <message>`. */
  readonly error: string
}

export interface GivenUpEnd {
  readonly record: SourceRecord
  /** `<subscription>/<route>`; undefined where no route was involved. */
  readonly route: string | undefined
  /** Position and kind of the action, such as `1:broadcast`. */
  readonly action: string | undefined
  readonly attempts: number
  readonly outcome: 'dead-letter' | 'skip' | 'stop'
  /** Where the dead letter goes. */
  readonly topic: string | undefined
  /** `<type>: <message>`. */
  readonly error: string
}
