import type { ActionPlan, DeadLetterPolicy, RetryPolicy } from '../compiler/plan.ts'
import { retryDelay } from '../engine/retry-delay.ts'

/** `4 attempts of 10s, waiting up to 200ms, 400ms, 800ms; then to orders.dlq`. `topic` is the message's, where it is known. */
export function policyWords(
  { retry, timeoutMs, deadLetter }: Pick<ActionPlan, 'retry' | 'timeoutMs' | 'deadLetter'>,
  topic?: string,
): string {
  const attempts =
    retry.attempts === 1 ? `1 attempt of ${durationWords(timeoutMs)}` : `${retry.attempts} attempts of ${durationWords(timeoutMs)}`
  const where = retry.mode === 'topics' ? 'waiting in retry topics' : 'waiting'
  const waits = retry.attempts === 1 ? '' : `, ${where} ${retry.jitter === 'full' ? 'up to ' : ''}${waitWords(retry)}`
  return `${attempts}${waits}; then ${deadLetterWords(deadLetter, topic)}`
}

/** Where a message goes that fails for good. */
function deadLetterWords(policy: DeadLetterPolicy, topic = '<topic>'): string {
  if (policy.kind === 'topic') {
    const oversize = policy.oversize === 'reference' ? ', where it is too large as a reference' : ''
    return `to ${policy.topic ?? `${topic}.dlq`}${oversize}`
  }
  return policy.onFailure === 'skip' ? 'it is dropped and counted' : 'the partition stops'
}

/** The longest wait before each retry, the first few of them. */
function retryWaits(retry: RetryPolicy, most: number): readonly number[] {
  const count = Math.min(retry.attempts - 1, most)
  return Array.from({ length: count }, (_, index) => retryDelay({ ...retry, jitter: 'none' }, index + 1, () => 1))
}

/** `1m 30s`, `500ms`: the unit that reads best, without a rest that nobody needs. */
function durationWords(ms: number): string {
  if (ms < 1_000) return `${ms}ms`
  const parts: string[] = []
  let rest = ms
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
    ['ms', 1],
  ] as const) {
    const count = Math.floor(rest / size)
    if (count > 0) parts.push(`${count}${unit}`)
    rest -= count * size
  }
  return parts.slice(0, 2).join(' ')
}

const shownWaits = 6

function waitWords(retry: RetryPolicy): string {
  const waits = retryWaits(retry, shownWaits)
  if (new Set(waits).size === 1 && waits.length > 1) return `${durationWords(waits[0] ?? 0)} each time`
  const more = retry.attempts - 1 > shownWaits ? ', …' : ''
  return `${waits.map(durationWords).join(', ')}${more}`
}
