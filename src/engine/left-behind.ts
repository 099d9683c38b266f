import type { SubscriptionPlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { EngineLog } from './ports.ts'

/** What is left of the partitions that leave: all of it runs again. */
export interface LeftBehind {
  /** Nothing was cut off. */
  readonly finished: boolean
  /** Messages that had started and did not settle: they waited for a retry, or were cut off. */
  readonly released: number
  /** Messages that had settled without a commit that arrived and says so. */
  readonly repeated: number
}

/** Of partitions that have drained and made their last commit. Each is counted once. */
export function leftBehind(assignments: readonly Assignment[]): LeftBehind {
  let [finished, released, repeated] = [true, 0, 0]
  for (const assignment of assignments) {
    finished &&= assignment.state === 'draining'
    if (assignment.isAccountedFor) continue
    assignment.isAccountedFor = true
    released += assignment.released
    repeated += assignment.tracker.unsaved
  }
  return { finished, released, repeated }
}

export function tellLeftBehind(log: EngineLog, { name, role }: SubscriptionPlan, left: LeftBehind): void {
  if (left.released + left.repeated === 0) return
  log.warn(
    { subscription: name, ...left },
    role === 'fanout'
      ? 'messages were released, and nobody reads them again for this process'
      : 'messages will be delivered again: those released, and up to so many repeated that were finished',
  )
}
