import type { ActionPlan, Attempt, BatchOutcome, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { ActionSignal } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import type { Settlement } from '../engine/execution.ts'
import type { EngineObserver, GivenUpEnd, PlannedRetry } from '../engine/observer.ts'
import { LoggedMessage } from './logged-message.ts'
import type { MessageView } from './message-view.ts'

/** Kept for pages that open later. */
const mostMessages = 500
const mostBytes = 32 * 1024 * 1024
/** How often news is handed on, in ms, and how many messages are looked at in that time; others are only counted. */
const flushMs = 100
const mostPerFlush = 40

export interface MessageNews {
  /** New ones and those that changed. */
  readonly messages: readonly MessageView[]
  /** Messages since the start, and how many of them were too many to be looked at. */
  readonly seen: number
  readonly leftOut: number
}

export interface MessageLogOptions {
  generation(): number
  onNews(news: MessageNews): void
}

/** Looks on while the engine works: keeps the last messages with what became of them. A flood is sampled, its failures are looked at all the same. */
export class MessageLog implements EngineObserver {
  readonly #options: MessageLogOptions
  readonly #messages = new Map<number, LoggedMessage>()
  /** One record may be read by several subscriptions. */
  readonly #byPlace = new Map<string, LoggedMessage>()
  readonly #byRecord = new WeakMap<SourceRecord, LoggedMessage>()
  /** Of messages that are only counted: what is needed should one of them fail. */
  readonly #plans = new WeakMap<SourceRecord, SubscriptionPlan>()
  /** Started and not ended. */
  readonly #running = new WeakSet<SourceRecord>()
  readonly #changed = new Set<LoggedMessage>()
  #bytes = 0
  #seen = 0
  #leftOut = 0
  #lastId = 0
  #room = mostPerFlush
  #roomForFailures = mostPerFlush
  #timer: NodeJS.Timeout | undefined

  constructor(options: MessageLogOptions) {
    this.#options = options
  }

  /** Everything that is kept, oldest first. */
  get all(): MessageNews {
    return { messages: [...this.#messages.values()].map(message => message.view()), seen: this.#seen, leftOut: this.#leftOut }
  }

  find(id: number): LoggedMessage | undefined {
    return this.#messages.get(id)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  started(plan: SubscriptionPlan, record: SourceRecord): void {
    if (this.#running.has(record)) return
    this.#running.add(record)
    const known = this.#byPlace.get(placeOf(plan, record))
    if (known !== undefined) {
      // Of another subscription, or delivered again.
      known.start()
      this.#byRecord.set(record, known)
      this.#note(known)
      return
    }
    this.#seen++
    if (this.#room > 0) {
      this.#room--
      this.#add(plan, record)
    } else {
      this.#leftOut++
      this.#plans.set(record, plan)
      this.#schedule()
    }
  }

  ended(_plan: SubscriptionPlan, record: SourceRecord, settlement: Settlement): void {
    this.#running.delete(record)
    const message = this.#byRecord.get(record)
    if (message === undefined) return
    message.end(settlement)
    this.#note(message)
  }

  replayed(carrier: SourceRecord, original: SourceRecord): void {
    const message = this.#byRecord.get(carrier)
    if (message === undefined) return
    const first = this.#byPlace.get(placeOf(message, original))
    if (first !== undefined && first !== message) {
      // It goes on where it was seen before.
      this.#forget(message)
      first.start()
      this.#byRecord.set(carrier, first)
    }
    this.#byRecord.set(original, first ?? message)
  }

  leftOut(route: RoutePlan, record: SourceRecord, why: 'condition' | 'duplicate'): void {
    this.#byRecord.get(record)?.leftOut(route, why)
  }

  attempting(action: ActionPlan, scope: Scope, attempt: Attempt): ((end: BatchOutcome) => void) | undefined {
    const message = this.#byRecord.get(attempt.record)
    if (message === undefined) return undefined
    const startedAt = performance.now()
    message.attempting(action, scope, attempt)
    return end => {
      const ms = performance.now() - startedAt
      if ('error' in end) message.attemptFailed(action, attempt, end.error, ms)
      else if (end.value instanceof ActionSignal) message.attemptSkipped(action, attempt, end.value, ms)
      else message.attemptDone(action, attempt, ms)
      this.#note(message)
    }
  }

  retryPlanned(retry: PlannedRetry): void {
    const message = this.#ofFailure(retry.record)
    if (message === undefined) return
    message.retryPlanned(retry)
    this.#note(message)
  }

  gaveUp(end: GivenUpEnd): void {
    const message = this.#ofFailure(end.record)
    if (message === undefined) return
    message.gaveUp(end)
    this.#note(message)
  }

  /** A message that was only counted and fails is shown from here on. */
  #ofFailure(record: SourceRecord): LoggedMessage | undefined {
    const known = this.#byRecord.get(record)
    const plan = this.#plans.get(record)
    if (known !== undefined || plan === undefined || this.#roomForFailures === 0) return known
    this.#roomForFailures--
    this.#leftOut--
    this.#plans.delete(record)
    return this.#add(plan, record)
  }

  #add(plan: SubscriptionPlan, record: SourceRecord): LoggedMessage {
    const message = new LoggedMessage(++this.#lastId, placeOf(plan, record), plan, record, this.#options.generation())
    this.#messages.set(message.id, message)
    this.#byPlace.set(placeOf(plan, record), message)
    this.#byRecord.set(record, message)
    this.#bytes += message.bytes
    for (const oldest of this.#messages.values()) {
      if (this.#messages.size <= mostMessages && (this.#bytes <= mostBytes || oldest === message)) break
      this.#forget(oldest)
    }
    this.#note(message)
    return message
  }

  #forget(message: LoggedMessage): void {
    this.#messages.delete(message.id)
    this.#byPlace.delete(message.place)
    this.#changed.delete(message)
    this.#bytes -= message.bytes
  }

  #note(message: LoggedMessage): void {
    this.#changed.add(message)
    this.#schedule()
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => this.#flush(), flushMs).unref()
  }

  #flush(): void {
    this.#timer = undefined
    this.#room = mostPerFlush
    this.#roomForFailures = mostPerFlush
    const messages = [...this.#changed].sort((a, b) => a.id - b.id).map(message => message.view())
    this.#changed.clear()
    this.#options.onNews({ messages, seen: this.#seen, leftOut: this.#leftOut })
  }
}

function placeOf({ broker }: Pick<SubscriptionPlan, 'broker'>, { topic, partition, offset }: SourceRecord): string {
  return `${broker}\n${topic}\n${partition}/${offset}`
}
