import type { RetryPolicy } from '../compiler/plan.ts'

/** How long the waits between tries are. */
type Waits = Pick<RetryPolicy, 'backoff' | 'delayMs' | 'maxDelayMs' | 'jitter'>

/** The wait before try `attempt + 1`, in ms, after try `attempt` (from 1) failed. `full` jitter picks anywhere from 0 up to the wait. */
export function retryDelay(policy: Waits, attempt: number, random: () => number): number {
  const wait = Math.min(policy.maxDelayMs, policy.delayMs * growth(policy.backoff, attempt))
  return policy.jitter === 'full' ? Math.round(wait * random()) : wait
}

/** The wait before a retry, when the failure itself may say how long the other side asks for; never longer than the policy's longest wait. */
export function waitAfter(policy: Waits, attempt: number, failure: unknown, random: () => number): number {
  const asked = failure instanceof Error && 'retryAfterMs' in failure ? failure.retryAfterMs : undefined
  const wait = retryDelay(policy, attempt, random)
  return typeof asked === 'number' && asked > 0 ? Math.max(wait, Math.min(policy.maxDelayMs, asked)) : wait
}

function growth(backoff: RetryPolicy['backoff'], attempt: number): number {
  switch (backoff) {
    case 'fixed':
      return 1
    case 'linear':
      return attempt
    case 'exponential':
      // Bounded: at Infinity a delay of 0 would be no number.
      return 2 ** Math.min(attempt - 1, 52)
  }
}
