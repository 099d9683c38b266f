import type { ActionPlan, ActionSignal, Attempt, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { Scope } from '../compiler/scope.ts'
import { DecodeFailure } from '../engine/decoded-event.ts'
import { decodeRecord, type Intake } from '../engine/envelope.ts'
import { errorCause, type Settlement } from '../engine/execution.ts'
import type { GivenUpEnd, PlannedRetry } from '../engine/observer.ts'
import { type ActionView, cut, type FailureView, jsonText, type MessageState, type MessageView, outputView } from './message-view.ts'

const mostOutputs = 20
const mostFailures = 20
const previewLength = 300

type Changing<T> = { -readonly [K in keyof T]: T[K] }

interface LoggedRoute {
  readonly route: string
  state: 'took' | 'condition' | 'duplicate'
  readonly actions: Map<number, Changing<ActionView>>
}

/** One message with what has become of it so far. */
export class LoggedMessage {
  readonly id: number
  readonly broker: string
  readonly intake: Intake
  /** With bytes of its own: those of a broker's record may be part of a whole fetch. */
  readonly record: SourceRecord
  /** Where the record stands: the log knows it by this. */
  readonly place: string
  readonly #at = Date.now()
  readonly #generation: number
  readonly #event: string | null
  readonly #preview: string
  readonly #routes = new Map<string, LoggedRoute>()
  readonly #failures: FailureView[] = []
  #startedAt = performance.now()
  /** Subscriptions that are at it. */
  #running = 1
  #isReleased = false
  #ms: number | null = null

  constructor(id: number, place: string, plan: SubscriptionPlan, record: SourceRecord, generation: number) {
    this.id = id
    this.place = place
    this.broker = plan.broker
    this.intake = { envelope: plan.envelope, maxMessageBytes: plan.maxMessageBytes }
    this.#generation = generation
    const { key, value, headers } = record
    this.record = { ...record, headers, key: key && Buffer.from(key), value: value && Buffer.from(value) }
    const decoded = decodeRecord(plan, record)
    if (decoded instanceof DecodeFailure) {
      this.#event = null
      this.#preview = cut(value?.toString('utf8') ?? '', previewLength)
    } else {
      this.#event = decoded.event === undefined ? null : cut(decoded.event, 200)
      this.#preview = jsonText(decoded.data ?? null, previewLength)
    }
  }

  /** What it holds of the memory, about. */
  get bytes(): number {
    return (this.record.value?.length ?? 0) + (this.record.key?.length ?? 0) + 2_000
  }

  start(): void {
    if (this.#running === 0) {
      this.#startedAt = performance.now()
      // What failed before is tried anew.
      this.#failures.length = 0
    }
    this.#running++
    this.#isReleased = false
    this.#ms = null
  }

  end(settlement: Settlement): void {
    this.#running--
    if (settlement === 'released') this.#isReleased = true
    if (this.#running === 0) this.#ms = performance.now() - this.#startedAt
  }

  leftOut(route: RoutePlan, why: 'condition' | 'duplicate'): void {
    this.#route(route.id).state = why
  }

  attempting(plan: ActionPlan, scope: Scope, attempt: Attempt): void {
    const action = this.#action(plan, attempt)
    action.state = 'running'
    action.attempts = attempt.number
    action.retryAt = null
    if (attempt.number > 1) return
    // What it sends is the same at every attempt; `render` says it before anything can change the data.
    try {
      const outputs = plan.action.render(scope, attempt)
      if (!Array.isArray(outputs)) return
      const shown = outputs.slice(0, mostOutputs - action.outputs.length).map(outputView)
      action.outputs = [...action.outputs, ...shown]
      action.moreOutputs += outputs.length - shown.length
    } catch {
      // The attempt fails for the same reason, and says it.
    }
  }

  attemptDone(plan: ActionPlan, attempt: Attempt, ms: number): void {
    const action = this.#atAttempt(plan, attempt)
    if (action !== undefined) Object.assign(action, { state: 'done', ms, why: null })
  }

  attemptSkipped(plan: ActionPlan, attempt: Attempt, { kind, reason }: ActionSignal, ms: number): void {
    const action = this.#atAttempt(plan, attempt)
    if (action !== undefined) Object.assign(action, { state: 'skipped', ms, why: kind === 'drop' ? 'the handler dropped it' : reason })
  }

  attemptFailed(plan: ActionPlan, attempt: Attempt, error: unknown, ms: number): void {
    const action = this.#atAttempt(plan, attempt)
    const { type, message } = errorCause(error)
    if (action !== undefined) Object.assign(action, { state: 'failed', ms, why: cut(`${type}: ${message}`) })
  }

  retryPlanned({ route, position, attempt, retryInMs, error }: PlannedRetry): void {
    const plan = route.actions.find(each => each.position === position)
    if (plan === undefined) return
    const action = this.#actionOf(route.id, plan)
    Object.assign(action, { state: 'waiting', attempts: attempt, why: cut(error), retryAt: Date.now() + Math.round(retryInMs) })
  }

  gaveUp(end: GivenUpEnd): void {
    const { attempts, outcome, error } = end
    const [route, action, topic] = [end.route ?? null, end.action ?? null, end.topic ?? null]
    if (this.#failures.length < mostFailures) this.#failures.push({ route, action, attempts, outcome, topic, error: cut(error) })
    const entry = route === null ? undefined : this.#routes.get(route)
    const failed = entry === undefined || action === null ? undefined : entry.actions.get(Number.parseInt(action, 10))
    if (failed !== undefined) Object.assign(failed, { state: 'failed', attempts, why: cut(error), retryAt: null })
    else if (route !== null) this.#route(route)
  }

  view(): MessageView {
    const { topic, partition, offset, key } = this.record
    return {
      id: this.id,
      at: this.#at,
      topic,
      partition,
      offset,
      key: key === null ? null : cut(key.toString('utf8'), 200),
      event: this.#event,
      preview: this.#preview,
      state: this.#state(),
      ms: this.#ms,
      generation: this.#generation,
      routes: [...this.#routes.values()].map(({ route, state, actions }) => ({ route, state, actions: [...actions.values()] })),
      failures: this.#failures,
    }
  }

  #state(): MessageState {
    const routes = [...this.#routes.values()]
    // Also in a retry topic, where the message itself has ended.
    if (routes.some(({ actions }) => [...actions.values()].some(({ state }) => state === 'waiting'))) return 'retrying'
    if (this.#running > 0) return 'running'
    if (this.#isReleased) return 'released'
    if (this.#failures.some(({ outcome }) => outcome === 'dead-letter')) return 'dead-lettered'
    if (this.#failures.length > 0) return 'failed'
    return routes.some(({ state }) => state === 'took') ? 'done' : 'left-out'
  }

  #route(id: string): LoggedRoute {
    const known = this.#routes.get(id)
    if (known !== undefined) return known
    const made: LoggedRoute = { route: id, state: 'took', actions: new Map() }
    this.#routes.set(id, made)
    return made
  }

  #action(plan: ActionPlan, { route }: Attempt): Changing<ActionView> {
    return this.#actionOf(route.id, plan)
  }

  #actionOf(route: string, { position, action: { kind, summary } }: ActionPlan): Changing<ActionView> {
    const { actions } = this.#route(route)
    const known = actions.get(position)
    if (known !== undefined) return known
    const made: Changing<ActionView> = {
      position,
      kind,
      summary,
      state: 'running',
      attempts: 1,
      ms: null,
      outputs: [],
      moreOutputs: 0,
      why: null,
      retryAt: null,
    }
    actions.set(position, made)
    return made
  }

  /** Undefined for an attempt that timed out before and ends now: a later one has taken its place. */
  #atAttempt(plan: ActionPlan, attempt: Attempt): Changing<ActionView> | undefined {
    const action = this.#action(plan, attempt)
    return action.attempts === attempt.number && action.state === 'running' ? action : undefined
  }
}
