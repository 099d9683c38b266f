import type { Assignment } from './assignment.ts'
import type { Execution } from './execution.ts'
import type { ClaimAnswer, IdempotencyPort, KeyHolding } from './ports.ts'
import { retryDelay } from './retry-delay.ts'
import { StoreOutage } from './store-outage.ts'

/** Waits while somebody else works on the key. */
const busyWaits = { backoff: 'exponential', delayMs: 25, maxDelayMs: 1_000, jitter: 'none' } as const
/** Waits while the store does not answer. */
const storeWaits = { backoff: 'exponential', delayMs: 100, maxDelayMs: 1_000, jitter: 'full' } as const

/** Whose key is asked for, again and again. */
export interface KeyWait {
  readonly execution: Execution
  readonly assignment: Assignment
  /** The route's id. */
  readonly route: string
  readonly port: IdempotencyPort
  /** The owner stays the same: an answer that was lost may have been a yes. */
  readonly holding: KeyHolding
}

/** Granted: when the claim was asked for, on the monotonic clock. */
export type ClaimEnd = { readonly claimedAt: number } | { readonly check: string } | 'released'

/** Asks until the key is claimed or completed, or the partition is leaving. `first` has been asked for already, at `firstAt`. `onBusy`: somebody else has it. */
export async function untilClaimed(
  { execution, assignment, route, port, holding }: KeyWait,
  first: ClaimAnswer | Promise<ClaimAnswer>,
  firstAt: number,
  onBusy: () => void,
): Promise<ClaimEnd> {
  const outage = new StoreOutage(execution, route)
  let [asked, claimedAt] = [first, firstAt]
  let [busy, failures] = [0, 0]
  try {
    for (;;) {
      let waitMs: number
      try {
        const answer = await asked
        outage.answered()
        if (typeof answer === 'object') return answer
        if (answer === 'claimed') {
          if (assignment.state === 'active') return { claimedAt }
          port.release(holding)
          return 'released'
        }
        if (busy++ === 0) execution.counters.idempotencyWaits++
        onBusy()
        waitMs = retryDelay(busyWaits, busy, execution.ports.random)
      } catch (error) {
        outage.failed(error)
        waitMs = retryDelay(storeWaits, ++failures, execution.ports.random)
      }
      if (!(await assignment.wait(waitMs))) {
        port.release(holding)
        return 'released'
      }
      claimedAt = execution.ports.clock.monotonic()
      asked = askToClaim(port, holding)
    }
  } finally {
    outage.end()
  }
}

/** Stores the completion, for as long as that takes and the partition is ours. `first` has been asked for already. */
export async function untilCompleted(
  { execution, assignment, route, port, holding }: KeyWait,
  { ttlMs, check }: { readonly ttlMs: number; readonly check: string },
  first: boolean | Promise<boolean> | undefined,
): Promise<'completed' | 'released'> {
  const outage = new StoreOutage(execution, route)
  let asked = first
  try {
    for (let attempt = 1; ; attempt++) {
      let waits: typeof busyWaits | typeof storeWaits = busyWaits
      try {
        const isStored = await (asked ?? askToComplete(port, { ...holding, ttlMs, check }))
        outage.answered()
        if (assignment.state === 'released') return 'released'
        if (isStored) return 'completed'
        // The lease was lost and somebody else works on the key: once they have completed it, so has this message.
        if (attempt === 1) execution.counters.leasesLost++
      } catch (error) {
        outage.failed(error)
        waits = storeWaits
      }
      asked = undefined
      if (!(await assignment.wait(retryDelay(waits, attempt, execution.ports.random)))) return 'released'
    }
  } finally {
    outage.end()
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
