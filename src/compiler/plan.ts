import type { SourceRange } from '../diagnostics/problem.ts'
import type { Condition, Scope, Template } from './scope.ts'

/** Everything the engine needs to route messages, compiled from all files of a project. Immutable: a reload makes a new one. */
export interface RoutingPlan {
  readonly subscriptions: readonly SubscriptionPlan[]
}

/** One route file: its topics, its consumer group, its routes. */
export interface SubscriptionPlan {
  /** The file's path below `routes/` without its extension, `/` kept: `orders`, `shop/orders`. Unique in a project. */
  readonly name: string
  /** Relative to the project's root. */
  readonly file: string
  /** A name from router.yaml. */
  readonly broker: string
  /** `work`: the instances share the messages. `fanout`: each instance gets all of them, for the sockets it has. */
  readonly role: 'work' | 'fanout'
  /** Under `fanout` only a name for people: each process then reads without a group. */
  readonly group: string
  readonly topics: TopicSelector
  /** Where dead letters of this group come back, once somebody sends them; undefined where none are written. */
  readonly replayTopic: string | undefined
  /** Where messages of this group wait for their next try under `retry.mode: topics`, shortest wait first; empty where no action has it. */
  readonly retryTopics: readonly RetryTopic[]
  readonly from: StartPosition
  readonly ordering: Ordering
  readonly batch: BatchPolicy
  readonly envelope: EnvelopePlan
  /** A larger value is not read at all. */
  readonly maxMessageBytes: number
  /** Lanes whose actions run at once; what only waits does not count. */
  readonly concurrency: number
  readonly window: WindowPolicy
  /** Enabled routes in file order. */
  readonly routes: readonly RoutePlan[]
  readonly unmatched: UnmatchedPlan
  /** Where a message goes that cannot be decoded. */
  readonly deadLetter: DeadLetterPolicy
  readonly retry: RetryPolicy
  /** Routes whose `event` names this event, in file order. One Map look-up for a name seen in an exact pattern. */
  match(event: string | undefined): readonly RoutePlan[]
}

export interface TopicSelector {
  readonly names: readonly string[]
  readonly patterns: readonly TopicPattern[]
  /** Topics that may be missing for good; read as soon as they are there and may be read. */
  readonly optional?: readonly string[]
}

/** A topic of a group's own: its messages wait there, in the order in which they came. */
export interface RetryTopic {
  readonly topic: string
  /** It takes waits up to this, in ms. */
  readonly longestMs: number
}

export interface TopicPattern {
  readonly source: string
  /** RE2, unanchored. Never true for `__*`, nor for the project's dead-letter and retry topics. */
  matches(topic: string): boolean
}

/** Where a group starts when it is born. `timestamp` is epoch milliseconds. */
export type StartPosition =
  | { readonly kind: 'latest' }
  | { readonly kind: 'earliest' }
  | { readonly kind: 'timestamp'; readonly timestamp: number }

export type Ordering = 'key' | 'partition' | 'none'

export interface BatchPolicy {
  /** Most messages taken at once. */
  readonly size: number
  /** Longest wait for a fetch on a quiet topic, in ms; undefined leaves it to the broker's `fetch.max.wait.ms`. */
  readonly timeoutMs: number | undefined
}

export interface WindowPolicy {
  readonly messages: number
  readonly bytes: number
}

export type EnvelopePlan =
  | { readonly kind: 'auto' }
  | { readonly kind: 'event' }
  | { readonly kind: 'cloudevents' }
  | { readonly kind: 'raw' }
  /** Paths start with `value`, `headers` or `key`: `value.uuid` is `['value', 'uuid']`. Without `event` the topic's name is the event. */
  | { readonly kind: 'mapping'; readonly id?: readonly string[]; readonly event?: readonly string[]; readonly data?: readonly string[] }

export interface RoutePlan {
  /** The name in the file. */
  readonly name: string
  /** `<subscription>/<name>`: the name in logs, metrics and dead letters. */
  readonly id: string
  /** As written, for people: `order.created`, `order.*`. Empty where the route takes every message. */
  readonly events: readonly string[]
  readonly when: Condition | undefined
  /** Checks `data` against the route's JSON Schema. */
  readonly schema: DataSchema | undefined
  readonly actions: readonly ActionPlan[]
  /** Undefined: a message runs as often as it is delivered. */
  readonly idempotency: IdempotencyPlan | undefined
  /** For messages whose data fails the schema. */
  readonly deadLetter: DeadLetterPolicy
  readonly retry: RetryPolicy
  /** Some action keeps its result (`as`): each message then needs `results` of its own. */
  readonly keepsResults: boolean
}

/** The route completes once for each key, as long as the key is remembered. */
export interface IdempotencyPlan {
  /** As written, for people. */
  readonly text: string
  /** Within the route. Throws TemplateError. */
  readonly key: Template<string>
  readonly ttlMs: number
  /** A completed key that comes again with another event or other data is an error. */
  readonly check: boolean
}

export interface DataSchema {
  /** The schema file, relative to the project's root. */
  readonly file: string
  /** Null when the data is valid, else what is wrong in one sentence: `data.total must be number`. */
  check(data: unknown): string | null
}

export type UnmatchedPlan =
  | { readonly policy: 'ignore' }
  | { readonly policy: 'dead-letter' }
  | { readonly policy: 'actions'; readonly route: RoutePlan }

/** One action of a route with the policies that hold for it, merged: action over route over file over app. */
export interface ActionPlan {
  /** Counts from 0 within the route. */
  readonly position: number
  readonly as: string | undefined
  readonly when: Condition | undefined
  readonly forEach: ForEachPlan | undefined
  readonly retry: RetryPolicy
  /** Undefined: off, or nothing outside this process that could be down. */
  readonly breaker: BreakerPolicy | undefined
  /** One attempt, in ms. */
  readonly timeoutMs: number
  readonly deadLetter: DeadLetterPolicy
  readonly continueOnError: boolean
  readonly action: CompiledAction
}

export interface ForEachPlan {
  /** As written: `data.user_ids`. */
  readonly path: string
  /** At most 1,000 elements; throws TemplateError for a missing path, another type, or more. */
  read(scope: Scope): readonly unknown[]
}

export interface RetryPolicy {
  /** Counts the first try; 1 means no retry. */
  readonly attempts: number
  readonly backoff: 'fixed' | 'linear' | 'exponential'
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly jitter: 'full' | 'none'
  /** `in-order`: the key waits for its retries. `topics`: the message waits in a retry topic, and the key goes on. */
  readonly mode: 'in-order' | 'topics'
}

/** After so many failures in a row an action waits for so long before it is tried again. */
export interface BreakerPolicy {
  readonly failures: number
  readonly resetMs: number
}

export type DeadLetterPolicy =
  | {
      readonly kind: 'topic'
      /** Undefined: `<topic of the message>.dlq`. */
      readonly topic: string | undefined
      /** A letter that is too large for the topic only says where the message lies. Undefined: its partition waits until the topic takes it. */
      readonly oversize?: 'reference'
    }
  | { readonly kind: 'none'; readonly onFailure: 'skip' | 'stop' }

/** An action ready to run, made by its ActionType. */
export interface CompiledAction {
  /** The key in the YAML: `broadcast`, `invoke`, `emit`. */
  readonly kind: string
  /** For people: `broadcast private-user.{{data.user_id}}`. */
  readonly summary: string
  /** It reaches nothing outside this process: there is nothing to be down. */
  readonly isLocal?: true
  /** The module that must be loaded before the action can run, and where the file names it. */
  readonly handler?: HandlerUse
  /** Where its output goes, as the file has it: for graphs, comparisons and the search for loops. Empty where nobody can tell. */
  readonly targets: readonly ActionTarget[]
  /**
   * Runs one attempt. Synchronous where it can be: a promise costs the hot path. Returns the result for `as`, or an ActionSignal.
   * Throws or rejects on failure; an error with `permanent: true` or the name `PermanentError` is not retried.
   */
  run(scope: Scope, attempt: Attempt): unknown
  /** Many messages go into one call: the engine gathers them, and does not call `run`. */
  readonly batch?: BatchUse
  /**
   * What `run` would do with this message, rendered by the same code; nothing is done. One element for each thing that is sent or called.
   * Throws as `run` does.
   */
  render(scope: Scope, attempt: Attempt): readonly RenderedOutput[] | ActionSignal
}

/** How an action takes many messages in one call. */
export interface BatchUse {
  /** Most messages in one call. */
  readonly size: number
  /** How long the first of them waits for others. */
  readonly waitMs: number
  /**
   * One call: an outcome for each message, in their order. Rejects where all have failed for the same reason; never throws. `signal` is aborted at
   * the time-out, and when nobody waits for the call any more.
   */
  call(members: readonly BatchMember[], signal: AbortSignal): Promise<readonly BatchOutcome[]>
}

export interface BatchMember {
  readonly scope: Scope
  readonly attempt: Attempt
}

/** `value` is what `run` would return. */
export type BatchOutcome = { readonly value: unknown } | { readonly error: unknown }

export type ActionTarget =
  | { readonly kind: 'channel'; readonly name: string; readonly app: string }
  | {
      readonly kind: 'topic'
      readonly name: string
      /** The name has no template: it is the same for every message. */
      readonly isConstant: boolean
      readonly broker: string
      /** The event's name where the action gives it one without a template; undefined: the message's own, or not known. */
      readonly event: string | undefined
      /** The message's own event name passes through. */
      readonly keepsEvent: boolean
    }
  | { readonly kind: 'address'; readonly name: string }

/** `action` is the key in the YAML; the rest is plain data for people and programs, ready for JSON. */
export interface RenderedOutput {
  readonly action: string
  readonly [detail: string]: unknown
}

/** A handler that an action calls: its module relative to the project's root, and the place to point at when it cannot be loaded. */
export interface HandlerUse {
  readonly module: string
  readonly exportName: string
  readonly file: string
  readonly range: SourceRange
}

/** One try of one action on one message (or one element of it, inside forEach). */
export interface Attempt {
  /** Counts from 1. */
  readonly number: number
  /** Aborted at the time-out, on revoke, and when the router stops without grace. */
  readonly signal: AbortSignal
  readonly route: RoutePlan
  readonly position: number
  /** Index inside forEach, else undefined. */
  readonly element: number | undefined
  /** What identifies the message: CloudEvents `source/id`, the envelope's id, else `topic/partition/offset`. */
  readonly identity: string
  /** What makes this action's output: `broker:topic:partition:offset:timestamp:route:action[:element]`, the same for every attempt and every delivery. */
  readonly origin: string
  /** The subscription's broker: the default for emits. */
  readonly broker: string
  /** The record's original bytes, for actions that pass them on. */
  readonly record: SourceRecord
}

/** Who set a record's timestamp, in Kafka's words: its producer, or the broker that appended it; a record in the oldest format has none. */
export const timestampTypes = ['CreateTime', 'LogAppendTime', 'NoTimestampType'] as const
export type TimestampType = (typeof timestampTypes)[number]

/** A record as it came from a broker. */
export interface SourceRecord {
  readonly topic: string
  readonly partition: number
  /** Up to 2^53 - 1. */
  readonly offset: number
  /** Epoch milliseconds. */
  readonly timestamp: number
  /** Undefined: `CreateTime`. */
  readonly timestampType?: TimestampType | undefined
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
}

/** Records of one partition in offset order. What is fetched is read as it is gone through: until then a record is no more than its bytes. */
export interface RecordSequence extends Iterable<SourceRecord> {
  readonly length: number
  /** Their keys, values and header values together; undefined: it has to be added up. */
  readonly bytes?: number
}

/** Header values keep their bytes; a name that repeats holds a list. */
export type RecordHeaders = Readonly<Record<string, Buffer | readonly Buffer[]>>

/** What an action says besides "done": it was left out (`skip`, counted by reason), or the route ends here quietly (`drop`). */
export class ActionSignal {
  readonly kind: 'skip' | 'drop'
  readonly reason: string
  constructor(kind: 'skip' | 'drop', reason: string) {
    this.kind = kind
    this.reason = reason
  }
}

export type NamePlace = 'channel' | 'event' | 'topic' | 'key' | 'header' | 'httpHeader' | 'url' | 'id' | 'idempotency'
