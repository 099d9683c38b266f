import type { RenderedOutput, RoutingPlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { DecodeFailure } from '../engine/decoded-event.ts'
import { decodeRecord } from '../engine/envelope.ts'
import { explainMessage, readsTopic, type StepExplanation } from '../engine/explain.ts'

/** What an edit would have changed for messages of the past. */
export interface BacktestReport {
  /** Messages that both versions were run over. */
  readonly messages: number
  /** Those that at least one route treats differently. */
  readonly changed: number
  /** Things sent or called, by the action's name. */
  readonly outputs: Readonly<Record<string, BeforeAfter>>
  /** In file order; only routes that treat some message differently. */
  readonly routes: readonly RouteDifference[]
}

interface BeforeAfter {
  readonly before: number
  readonly after: number
}

export interface RouteDifference {
  /** `<file>/<name>`; `<file>/unmatched` for what no route names. */
  readonly route: string
  readonly differences: readonly Difference[]
}

interface Difference {
  readonly kind: DifferenceKind
  readonly messages: number
  /** The first few. */
  readonly examples: readonly BacktestExample[]
}

/**
 * `taken`: the route takes the message and did not; `left`: the other way round; `changed`: it sends something else; `fails`: an action cannot be
 * rendered, and could, or did not have to; `dead-lettered`: the message is, and was not; `let-through`: the other way round.
 */
export type DifferenceKind = 'taken' | 'left' | 'changed' | 'fails' | 'dead-lettered' | 'let-through'

export interface BacktestExample {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly event: string | null
  readonly before: Outcome
  readonly after: Outcome
}

/** What one version of a route makes of one message. */
export interface Outcome {
  readonly state: 'taken' | 'left' | 'dead-lettered'
  /** Why it is not taken; empty where it is. */
  readonly why: string
  readonly outputs: readonly Output[]
}

type Output = RenderedOutput & { readonly error?: string; readonly skipped?: true }

/** Most examples of each kind of difference of a route. */
const mostExamples = 3

/** Runs two versions of the routes over records, without doing anything, and keeps what differs. */
export class Backtest {
  readonly #sides: readonly [BacktestSide, BacktestSide]
  readonly #routes = new Map<string, Map<DifferenceKind, { messages: number; examples: BacktestExample[] }>>()
  readonly #outputs = new Map<string, { before: number; after: number }>()
  #messages = 0
  #changed = 0

  constructor(before: RoutingPlan, after: RoutingPlan) {
    this.#sides = [new BacktestSide(before), new BacktestSide(after)]
  }

  get messages(): number {
    return this.#messages
  }

  /** `broker`: by its name in router.yaml; undefined: as if all topics were of one. */
  take(broker: string | undefined, record: SourceRecord): void {
    this.#messages++
    const [before, after] = this.#sides.map(side => side.outcomes(broker, record))
    if (before === undefined || after === undefined) return
    let hasChanged = false
    for (const route of new Set([...before.keys(), ...after.keys()])) {
      const [old, now] = [before.get(route) ?? absent, after.get(route) ?? absent]
      this.#count(old, 'before')
      this.#count(now, 'after')
      const kind = difference(old, now)
      if (kind === undefined) continue
      hasChanged = true
      this.#keep(route, kind, () => ({ ...placeOf(record), event: this.#eventOf(broker, record), before: old, after: now }))
    }
    if (hasChanged) this.#changed++
  }

  report(): BacktestReport {
    const order = this.#sides.flatMap(side => side.routes)
    const routes = [...this.#routes].sort(([one], [other]) => order.indexOf(one) - order.indexOf(other))
    return {
      messages: this.#messages,
      changed: this.#changed,
      outputs: Object.fromEntries(this.#outputs),
      routes: routes.map(([route, kinds]) => ({ route, differences: [...kinds].map(([kind, counted]) => ({ kind, ...counted })) })),
    }
  }

  #count({ outputs }: Outcome, side: 'before' | 'after'): void {
    for (const { action, error, skipped } of outputs) {
      if (error !== undefined || skipped === true) continue
      const counted = this.#outputs.get(action) ?? { before: 0, after: 0 }
      counted[side]++
      this.#outputs.set(action, counted)
    }
  }

  #keep(route: string, kind: DifferenceKind, example: () => BacktestExample): void {
    const kinds = this.#routes.get(route) ?? new Map()
    this.#routes.set(route, kinds)
    const counted = kinds.get(kind) ?? { messages: 0, examples: [] }
    kinds.set(kind, counted)
    counted.messages++
    if (counted.examples.length < mostExamples) counted.examples.push(example())
  }

  #eventOf(broker: string | undefined, record: SourceRecord): string | null {
    for (const plan of this.#sides.flatMap(side => side.reading(broker, record.topic))) {
      const decoded = decodeRecord(plan, record)
      if (!(decoded instanceof DecodeFailure) && decoded.event !== undefined) return decoded.event
    }
    return null
  }
}

const absent: Outcome = { state: 'left', why: 'the route does not exist', outputs: [] }

/** One version of the routes. */
class BacktestSide {
  readonly #plan: RoutingPlan
  readonly #reading = new Map<string, readonly SubscriptionPlan[]>()

  constructor(plan: RoutingPlan) {
    this.#plan = plan
  }

  get routes(): readonly string[] {
    return this.#plan.subscriptions.flatMap(({ name, routes }) => [...routes.map(({ id }) => id), unmatchedOf(name)])
  }

  reading(broker: string | undefined, topic: string): readonly SubscriptionPlan[] {
    const key = `${broker ?? ''}/${topic}`
    const known = this.#reading.get(key)
    if (known !== undefined) return known
    const found = this.#plan.subscriptions.filter(each => (broker === undefined || each.broker === broker) && readsTopic(each, topic))
    this.#reading.set(key, found)
    return found
  }

  outcomes(broker: string | undefined, record: SourceRecord): ReadonlyMap<string, Outcome> {
    const outcomes = new Map<string, Outcome>()
    for (const subscription of this.reading(broker, record.topic)) {
      const { routes, unmatched } = explainMessage([subscription], record)
      for (const { route, matched, why, deadLettered, steps } of routes)
        outcomes.set(route, { state: matched ? 'taken' : deadLettered ? 'dead-lettered' : 'left', why, outputs: outputsOf(steps) })
      outcomes.set(unmatchedOf(subscription.name), unmatchedOutcome(unmatched))
    }
    return outcomes
  }
}

function unmatchedOf(subscription: string): string {
  return `${subscription}/unmatched`
}

function unmatchedOutcome(unmatched: ReturnType<typeof explainMessage>['unmatched']): Outcome {
  if (unmatched === null) return { state: 'left', why: 'a route names the event', outputs: [] }
  switch (unmatched.policy) {
    case 'ignore':
      return { state: 'left', why: 'events that no route names are left alone', outputs: [] }
    case 'dead-letter':
      return { state: 'dead-lettered', why: 'no route names the event', outputs: [] }
    case 'actions':
      return { state: 'taken', why: '', outputs: outputsOf(unmatched.steps) }
  }
}

function outputsOf(steps: readonly StepExplanation[]): readonly Output[] {
  return steps.flatMap(({ outputs }) => outputs)
}

function difference(before: Outcome, after: Outcome): DifferenceKind | undefined {
  if (fails(after) && !fails(before)) return 'fails'
  if (after.state === before.state) return JSON.stringify(before.outputs) === JSON.stringify(after.outputs) ? undefined : 'changed'
  if (after.state === 'taken') return 'taken'
  if (after.state === 'dead-lettered') return 'dead-lettered'
  return before.state === 'taken' ? 'left' : 'let-through'
}

function fails({ outputs }: Outcome): boolean {
  return outputs.some(({ error }) => error !== undefined)
}

function placeOf({ topic, partition, offset }: SourceRecord): {
  readonly topic: string
  readonly partition: number
  readonly offset: number
} {
  return { topic, partition, offset }
}
