import type { Assignment } from './assignment.ts'
import type { Execution } from './execution.ts'
import type { ClaimAnswer, IdempotencyPort, KeyHolding } from './ports.ts'
import { retryDelay } from './retry-delay.ts'
import { StoreOutage } from './store-outage.ts'
import type { Whereabouts } from './whereabouts.ts'

/** Waits while somebody else works on the key. */
const busyWaits = { backoff: 'exponential', delayMs: 25, maxDelayMs: 1_000, jitter: 'none' } as const
/** Waits while the store does not answer. */
const storeWaits = { backoff: 'exponential', delayMs: 100, maxDelayMs: 1_000, jitter: 'full' } as const

/** Whose key is asked for, again and again. */
export interface KeyWait {
  readonly execution: Execution
  readonly assignment: Assignment
  /** Of the record that was delivered. */
  readonly offset: number
  /** The route's id. */
  readonly route: string
  readonly port: IdempotencyPort
  /** The owner stays the same: an answer that was lost may have been a yes. */
  readonly holding: KeyHolding
  readonly whereabouts: Whereabouts
}

/** Granted: when the claim was asked for, on the monotonic clock. */
export type ClaimEnd = { readonly claimedAt: number } | { readonly check: string } | 'released'

/**
 * Asks until the key is claimed or completed, or the message must not start any more. `first` has been asked for already, at `firstAt`; undefined: the store is
 * away. While it waits longer than for one answer, it waits elsewhere.
 */
export async function untilClaimed(
  { execution, assignment, offset, route, port, holding, whereabouts }: KeyWait,
  first: ClaimAnswer | Promise<ClaimAnswer> | undefined,
  firstAt: number,
): Promise<ClaimEnd> {
  const { store } = execution.places
  const outage = new StoreOutage(execution, route)
  let [asked, claimedAt] = [first, firstAt]
  let [busy, failures] = [0, 0]
  let hasAsked = first !== undefined
  try {
    for (;;) {
      if (asked === undefined) {
        if (store.isAway) outage.begin()
        const mayAsk = (!store.isAway && failures === 0) || (await whereabouts.untilMayAsk(assignment))
        if (!mayAsk) break
        claimedAt = execution.ports.clock.monotonic()
        asked = askToClaim(port, holding)
        hasAsked = true
      }
      let waitMs: number
      try {
        const answer = await asked
        outage.answered()
        store.answered('claim')
        failures = 0
        if (typeof answer === 'object') return answer
        if (answer === 'claimed') {
          if (assignment.mayBegin(offset)) return { claimedAt }
          break
        }
        if (busy++ === 0) execution.counters.idempotencyWaits++
        waitMs = retryDelay(busyWaits, busy, execution.ports.random)
      } catch (error) {
        outage.failed(error)
        store.failed('claim')
        waitMs = retryDelay(storeWaits, ++failures, execution.ports.random)
      }
      whereabouts.waitElsewhere()
      asked = undefined
      if (!(await assignment.wait(waitMs))) break
    }
    if (hasAsked) port.release(holding)
    return 'released'
  } finally {
    outage.end()
  }
}

/** Stores the completion, for as long as that takes and the partition is ours, also while it drains: the actions have run. `first` has been asked for already. */
export async function untilCompleted(
  { execution, assignment, route, port, holding, whereabouts }: KeyWait,
  { ttlMs, check }: { readonly ttlMs: number; readonly check: string },
  first: boolean | Promise<boolean> | undefined,
): Promise<'completed' | 'released'> {
  const { store } = execution.places
  const outage = new StoreOutage(execution, route)
  let asked = first
  let hasFailed = false
  try {
    for (let attempt = 1; ; attempt++) {
      let waits: typeof busyWaits | typeof storeWaits = busyWaits
      try {
        const isStored = await (asked ?? askToComplete(port, { ...holding, ttlMs, check }))
        outage.answered()
        store.answered('completion')
        if (assignment.state === 'released') return 'released'
        if (isStored) return 'completed'
        // The lease was lost and somebody else works on the key: once they have completed it, so has this message.
        if (attempt === 1) execution.counters.leasesLost++
      } catch (error) {
        outage.failed(error)
        store.failed('completion')
        if (!hasFailed) store.completionFails()
        hasFailed = true
        waits = storeWaits
      }
      whereabouts.waitElsewhere()
      asked = undefined
      if (!(await assignment.waitOn(retryDelay(waits, attempt, execution.ports.random)))) return 'released'
    }
  } finally {
    outage.end()
    if (hasFailed) store.completionFailsNoMore()
  }
}

export function askToClaim(port: IdempotencyPort, holding: KeyHolding): Promise<ClaimAnswer> {
  return new Promise((answered, failed) => {
    const answer = port.claim({ ...holding, leaseMs: port.leaseMs, answered, failed })
    if (answer !== undefined) answered(answer)
  })
}

function askToComplete(
  port: IdempotencyPort,
  completion: KeyHolding & { readonly ttlMs: number; readonly check: string },
): Promise<boolean> {
  return new Promise((answered, failed) => {
    const answer = port.complete({ ...completion, answered, failed })
    if (answer !== undefined) answered(answer)
  })
}
