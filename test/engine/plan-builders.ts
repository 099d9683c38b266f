import type {
  ActionPlan,
  Attempt,
  BatchUse,
  CompiledAction,
  DeadLetterPolicy,
  RetryPolicy,
  RoutePlan,
  SourceRecord,
  SubscriptionPlan,
} from '../../src/compiler/plan.ts'
import type { Scope } from '../../src/compiler/scope.ts'

export type Run = (scope: Scope, attempt: Attempt) => unknown

/** Waits that are easy to add up: 100 ms, 200 ms, 400 ms. */
export const steadyRetry: RetryPolicy = {
  attempts: 5,
  backoff: 'exponential',
  delayMs: 100,
  maxDelayMs: 30_000,
  jitter: 'none',
  mode: 'in-order',
}

export const noDeadLetter = { kind: 'none', onFailure: 'skip' } as const satisfies DeadLetterPolicy

export const stopOnFailure = { kind: 'none', onFailure: 'stop' } as const satisfies DeadLetterPolicy

const ownDeadLetter: DeadLetterPolicy = { kind: 'topic', topic: undefined }

/** An action of a route; its position comes from where it stands in `route`. */
export function action(run: Run, overrides: Partial<Omit<ActionPlan, 'action'>> & { readonly kind?: string } = {}): ActionPlan {
  const { kind = 'test', ...policies } = overrides
  const compiled: CompiledAction = { kind, summary: kind, targets: [], run, render: () => [{ action: kind }] }
  return {
    position: 0,
    as: undefined,
    when: undefined,
    forEach: undefined,
    retry: steadyRetry,
    breaker: undefined,
    timeoutMs: 10_000,
    deadLetter: ownDeadLetter,
    continueOnError: false,
    ...policies,
    action: compiled,
  }
}

/** An action that takes many messages at once; `call` answers with an outcome for each. */
export function batchAction(
  call: BatchUse['call'],
  { size = 10, waitMs = 20, ...policies }: Partial<Omit<ActionPlan, 'action'>> & Partial<Omit<BatchUse, 'call'>> = {},
): ActionPlan {
  const single = action(() => {
    throw new Error('it takes batches')
  }, policies)
  return { ...single, action: { ...single.action, batch: { size, waitMs, call } } }
}

/** `events` holds exact names; empty takes every event. */
export function route(name: string, actions: readonly ActionPlan[], overrides: Partial<RoutePlan> = {}): RoutePlan {
  return {
    name,
    id: `shop/${name}`,
    events: [],
    when: undefined,
    schema: undefined,
    idempotency: undefined,
    deadLetter: ownDeadLetter,
    retry: steadyRetry,
    keepsResults: actions.some(each => each.as !== undefined),
    ...overrides,
    actions: actions.map((each, position) => ({ ...each, position })),
  }
}

export function subscription(routes: readonly RoutePlan[], overrides: Partial<SubscriptionPlan> = {}): SubscriptionPlan {
  return {
    name: 'shop',
    file: 'routes/shop.yaml',
    broker: 'local',
    group: 'app.shop',
    topics: { names: ['orders'], patterns: [] },
    replayTopic: 'app.shop.signalbox-replay',
    retryTopics: [],
    from: { kind: 'latest' },
    role: 'work',
    ordering: 'key',
    batch: { size: 100, timeoutMs: undefined },
    envelope: { kind: 'auto' },
    maxMessageBytes: 10 * 1024 * 1024,
    concurrency: 64,
    window: { messages: 10_000, bytes: 64 * 1024 * 1024 },
    unmatched: { policy: 'ignore' },
    deadLetter: ownDeadLetter,
    retry: steadyRetry,
    ...overrides,
    routes,
    match: event => routes.filter(({ events }) => events.length === 0 || (event !== undefined && events.includes(event))),
  }
}

export interface RecordParts {
  readonly topic?: string
  readonly partition?: number
  readonly offset?: number
  readonly timestamp?: number
  readonly key?: string | null
  readonly value?: string | Buffer | null
  readonly headers?: SourceRecord['headers']
}

export function record(parts: RecordParts = {}): SourceRecord {
  const { key = null, value = null } = parts
  return {
    topic: parts.topic ?? 'orders',
    partition: parts.partition ?? 0,
    offset: parts.offset ?? 0,
    timestamp: parts.timestamp ?? 1_767_225_600_000,
    key: key === null ? null : Buffer.from(key),
    value: typeof value === 'string' ? Buffer.from(value) : value,
    headers: parts.headers ?? {},
  }
}

/** The value of a record in the event envelope. */
export function envelope(event: string | undefined, data: unknown, id?: string): string {
  return JSON.stringify({ id, event, data })
}

/** A run that notes something about the message and then answers `result`. */
export function noting<T>(notes: T[], read: (scope: Scope, attempt: Attempt) => T, result?: unknown): Run {
  return (scope, attempt) => {
    notes.push(read(scope, attempt))
    return result
  }
}
