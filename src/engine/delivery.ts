import type { RoutePlan, SubscriptionPlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { ClaimGuard } from './claim-guard.ts'
import type { RouteCounters } from './counters.ts'
import type { Execution } from './execution.ts'
import type { LaneTurn } from './lane-turn.ts'
import type { MessageScope } from './message-scope.ts'
import type { RouteProgress } from './retry-topic.ts'
import type { Seat } from './seat.ts'

/** One message as it was delivered, and the version of the plan that it runs on. */
export interface Delivery {
  readonly execution: Execution
  readonly assignment: Assignment
  /** Of the record that was delivered. */
  readonly offset: number
  readonly plan: SubscriptionPlan
  /** Its place in its lane, where messages can share batches. */
  readonly turn: LaneTurn | undefined
  /** Left while the message waits. */
  readonly seat: Seat
}

/** One route on one message. */
export interface RouteJob {
  readonly delivery: Delivery
  readonly route: RoutePlan
  readonly scope: MessageScope
  readonly counters: RouteCounters
  /** What the route's first action did before the message waited in a retry topic. */
  readonly progress: RouteProgress | undefined
  /** The message has no other route: it leaves its place to another message while it waits for the store. */
  readonly isAlone: boolean
  /** Runs the actions. True: they have ended already. Under a claim, `guard.actionsEnd` says how. */
  start(guard: ClaimGuard | undefined): boolean
  /** Of actions that have not ended at once. Rejects with a fault of our own. */
  untilEnded(): Promise<void>
}
