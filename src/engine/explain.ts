import {
  type ActionPlan,
  ActionSignal,
  type RenderedOutput,
  type RoutePlan,
  type SourceRecord,
  type SubscriptionPlan,
} from '../compiler/plan.ts'
import { type Scope, TemplateError } from '../compiler/scope.ts'
import { UnknownValue } from '../compiler/unknown-value.ts'
import { AttemptRun } from './attempt-run.ts'
import { DecodeFailure } from './decoded-event.ts'
import { decodeRecord } from './envelope.ts'
import { errorCause } from './execution.ts'
import { MessageScope } from './message-scope.ts'
import { showValue } from './show-value.ts'

/** What the routes of a project make of one message. Nothing is executed. */
export interface Explanation {
  readonly topic: string
  /** Of every subscription on the topic, in file order. */
  readonly routes: readonly RouteExplanation[]
  /** Null where a route names the event, or no subscription reads the topic. */
  readonly unmatched: UnmatchedExplanation | null
}

export interface RouteExplanation {
  /** `<file>/<name>`. */
  readonly route: string
  readonly matched: boolean
  /** Why not, in one sentence; empty where it matched. */
  readonly why: string
  /** It wants the message, which is not as it has to be: its dead-letter topic gets it. */
  readonly deadLettered: boolean
  /** The idempotency key within the route; null where it has none, or does not run. */
  readonly idempotencyKey: string | null
  readonly steps: readonly StepExplanation[]
}

/** One action and what it would send: several things for `channels` and `forEach`, one that says so where it is left out or fails. */
export interface StepExplanation {
  readonly action: ActionPlan
  readonly outputs: readonly (RenderedOutput & { readonly error?: string; readonly skipped?: true })[]
}

export interface UnmatchedExplanation {
  readonly policy: 'ignore' | 'dead-letter' | 'actions'
  readonly steps: readonly StepExplanation[]
}

export interface ExplainOptions {
  /** What a handler is taken to return, by its module or `module#export`. Others return what is not known. */
  readonly mocks?: ReadonlyMap<string, unknown>
}

export function explainMessage(
  subscriptions: readonly SubscriptionPlan[],
  record: SourceRecord,
  options: ExplainOptions = {},
): Explanation {
  const listening = subscriptions.filter(subscription => readsTopic(subscription, record.topic))
  const routes: RouteExplanation[] = []
  const left: UnmatchedExplanation[] = []
  let isNamed = false
  for (const subscription of listening) {
    const decoded = decodeRecord(subscription, record)
    if (decoded instanceof DecodeFailure) {
      const why = `the message cannot be decoded (${decoded.code}): ${decoded.message}`
      routes.push(
        ...subscription.routes.map(route => ({
          route: route.id,
          matched: false,
          why,
          deadLettered: true,
          idempotencyKey: null,
          steps: [],
        })),
      )
      isNamed = true
      continue
    }
    const message = new MessageScope(record, decoded)
    const naming = subscription.match(decoded.event)
    routes.push(...subscription.routes.map(route => explainRoute(subscription, route, naming.includes(route), message, options)))
    if (naming.length > 0) isNamed = true
    else left.push(explainUnmatched(subscription, message, options))
  }
  return { topic: record.topic, routes, unmatched: joined(left, isNamed) }
}

/** True where a subscription reads the topic, by name or by pattern. */
export function readsTopic({ topics }: SubscriptionPlan, topic: string): boolean {
  return topics.names.includes(topic) || topics.patterns.some(pattern => pattern.matches(topic))
}

/** Whether some action could not be rendered. */
export function hasRenderErrors({ routes, unmatched }: Explanation): boolean {
  const steps = [...routes.flatMap(route => route.steps), ...(unmatched?.steps ?? [])]
  return steps.some(({ outputs }) => outputs.some(({ error }) => error !== undefined))
}

/** The answer for programs. */
export function explanationJson({ routes, unmatched }: Explanation): object {
  const actionsOf = (steps: readonly StepExplanation[]) => steps.flatMap(({ outputs }) => outputs)
  return {
    routes: routes.map(({ route, matched, why, steps, idempotencyKey }) => ({
      route,
      matched,
      why,
      actions: actionsOf(steps),
      idempotencyKey,
    })),
    unmatched: unmatched === null ? null : { policy: unmatched.policy, actions: actionsOf(unmatched.steps) },
  }
}

/** Subscriptions that leave a message alone have nothing to say where another one's route takes it. */
function joined(left: readonly UnmatchedExplanation[], isNamed: boolean): UnmatchedExplanation | null {
  const steps = left.flatMap(one => one.steps)
  const loudest = (['actions', 'dead-letter', 'ignore'] as const).find(policy => left.some(one => one.policy === policy))
  return loudest === undefined || (loudest === 'ignore' && isNamed) ? null : { policy: loudest, steps }
}

function explainUnmatched(subscription: SubscriptionPlan, message: MessageScope, options: ExplainOptions): UnmatchedExplanation {
  const { unmatched } = subscription
  const steps = unmatched.policy === 'actions' ? explainActions(subscription, unmatched.route, message, options) : []
  return { policy: unmatched.policy, steps }
}

function explainRoute(
  subscription: SubscriptionPlan,
  route: RoutePlan,
  isNamed: boolean,
  message: MessageScope,
  options: ExplainOptions,
): RouteExplanation {
  if (!isNamed) return notTaken(route, whyNotNamed(route, message))
  if (route.when !== undefined && !route.when(message)) return notTaken(route, whyConditionFails(route.when, message))
  const wrong = route.schema?.check(message.data) ?? null
  if (wrong !== null)
    return {
      ...notTaken(route, `the data does not fit ${route.schema?.file}, so that the message is dead-lettered: ${wrong}`),
      deadLettered: true,
    }
  const key = idempotencyKeyOf(route, message)
  if (key instanceof TemplateError)
    return {
      ...notTaken(route, `the idempotency key cannot be made, so that the message is dead-lettered: ${key.message}`),
      deadLettered: true,
    }
  const steps = explainActions(subscription, route, message, options)
  return { route: route.id, matched: true, why: '', deadLettered: false, idempotencyKey: key, steps }
}

function idempotencyKeyOf({ idempotency }: RoutePlan, message: MessageScope): string | null | TemplateError {
  try {
    return idempotency?.key(message) ?? null
  } catch (error) {
    if (error instanceof TemplateError) return error
    throw error
  }
}

function notTaken({ id }: RoutePlan, why: string): RouteExplanation {
  return { route: id, matched: false, why, deadLettered: false, idempotencyKey: null, steps: [] }
}

function whyNotNamed({ events }: RoutePlan, { event, topic }: MessageScope): string {
  const wanted = events.map(pattern => `\`${pattern}\``).join(' or ')
  if (event === undefined) return `the message has no event name, and the route takes ${wanted}`
  const hint = event === topic ? ", the topic's name, which stands for that of a message without `event`" : ''
  return `the event is \`${event}\`${hint}, not ${wanted}`
}

function whyConditionFails(when: NonNullable<RoutePlan['when']>, scope: Scope): string {
  const failure = when.failure?.(scope)
  if (failure === undefined) return '`when` does not hold'
  const seen = failure.path === undefined ? '' : `: \`${failure.path}\` is ${showValue(failure.seen)}`
  return `\`when\` does not hold at \`${failure.line}\`${seen}`
}

function explainActions(
  subscription: SubscriptionPlan,
  route: RoutePlan,
  message: MessageScope,
  options: ExplainOptions,
): readonly StepExplanation[] {
  const results: Record<string, unknown> = Object.create(null)
  const scope = message.withResults(results)
  return route.actions.map(action => {
    const outputs = explainAction(subscription, route, action, scope)
    if (action.as !== undefined) results[action.as] = resultOf(action, options)
    return { action, outputs }
  })
}

function explainAction(
  subscription: SubscriptionPlan,
  route: RoutePlan,
  plan: ActionPlan,
  scope: MessageScope,
): StepExplanation['outputs'] {
  const { action, when } = plan
  if (when !== undefined && !when(scope) && !(when.failure?.(scope)?.seen instanceof UnknownValue))
    return [{ action: action.kind, skipped: true, why: whyConditionFails(when, scope) }]
  const render = (inner: MessageScope, element: number | undefined): StepExplanation['outputs'] => {
    try {
      const rendered = action.render(inner, new AttemptRun(inner, route, plan.position, element, 1, subscription.broker))
      return rendered instanceof ActionSignal ? [{ action: action.kind, skipped: true, why: skipReason(rendered) }] : rendered
    } catch (error) {
      return [{ action: action.kind, error: errorCause(error).message }]
    }
  }
  if (plan.forEach === undefined) return render(scope, undefined)
  try {
    return plan.forEach.read(scope).flatMap((item, index) => render(scope.withItem(item), index))
  } catch (error) {
    return [{ action: action.kind, error: errorCause(error).message }]
  }
}

const skipReasons: Readonly<Record<string, string>> = {
  'no-event': 'the message has no event name',
  'null-data': 'the data is null or missing',
  'binary-data': 'the data is binary',
}

function skipReason({ reason }: ActionSignal): string {
  return skipReasons[reason] ?? reason
}

/** What an action keeps as its result: only what comes from outside can be anything but nothing. */
function resultOf({ as, action }: ActionPlan, { mocks }: ExplainOptions): unknown {
  const { handler } = action
  const mocked = handler && [`${handler.module}#${handler.exportName}`, handler.module].find(name => mocks?.has(name))
  if (mocked !== undefined) return mocks?.get(mocked)
  const isSent = action.targets.some(({ kind }) => kind === 'channel' || kind === 'topic')
  return isSent ? undefined : UnknownValue.at(`results.${as}`)
}
