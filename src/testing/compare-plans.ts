import { flowYaml } from '../compiler/flow-yaml.ts'
import type { ActionPlan, RoutePlan, RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'
import { formatDuration } from '../config/duration.ts'
import type { SourceDocument } from '../config/source-document.ts'
import { policyWords } from './policy-words.ts'

/** One side of a comparison: a project compiled, with the files it came from. */
export interface ComparedSide {
  readonly plan: RoutingPlan
  readonly documents: readonly SourceDocument[]
  /** What the files say that routes use besides: event schemas and handler modules, by path. */
  readonly files: ReadonlyMap<string, string>
}

export interface RoutingChange {
  readonly kind: 'added' | 'removed' | 'changed'
  readonly subscription: string
  /** Undefined where the whole subscription is meant. */
  readonly route?: string
  /** In words, without the names above. */
  readonly text: string
}

export interface RoutingChanges {
  readonly changes: readonly RoutingChange[]
  readonly channels: Difference
  readonly topics: Difference
  readonly emits: Difference
}

export interface Difference {
  readonly gained: readonly string[]
  readonly lost: readonly string[]
}

/** What an edit does to the routing, as people would say it. Channels and topics are as the files have them. */
export function comparePlans(from: ComparedSide, to: ComparedSide): RoutingChanges {
  const before = byName(from.plan.subscriptions)
  const after = byName(to.plan.subscriptions)
  const names = [...new Set([...before.keys(), ...after.keys()])].sort()
  const changes = names.flatMap((name): readonly RoutingChange[] => {
    const [old, now] = [before.get(name), after.get(name)]
    if (old === undefined) return now === undefined ? [] : [{ kind: 'added', subscription: name, text: subscriptionWords(now) }]
    if (now === undefined) return [{ kind: 'removed', subscription: name, text: subscriptionWords(old) }]
    return subscriptionChanges(name, { plan: old, side: from }, { plan: now, side: to })
  })
  return {
    changes: [...changes, ...orphans(from.plan, to.plan)],
    channels: difference(targetsOf(from.plan, 'channel'), targetsOf(to.plan, 'channel')),
    emits: difference(targetsOf(from.plan, 'topic'), targetsOf(to.plan, 'topic')),
    topics: difference(from.plan.subscriptions.flatMap(topicsOf), to.plan.subscriptions.flatMap(topicsOf)),
  }
}

/** Retry topics are a group's own: where no file has the group any more, nobody reads what waits in them. */
function orphans(from: RoutingPlan, to: RoutingPlan): readonly RoutingChange[] {
  const placeOf = ({ broker, group }: SubscriptionPlan) => JSON.stringify([broker, group])
  const kept = new Set(to.subscriptions.map(placeOf))
  return from.subscriptions
    .filter(plan => plan.retryTopics.length > 0 && !kept.has(placeOf(plan)))
    .map(({ name, group, retryTopics }) => ({
      kind: to.subscriptions.some(other => other.name === name) ? 'changed' : 'removed',
      subscription: name,
      text: `nobody reads the retry topics of ${group} any more (${retryTopics.map(({ topic }) => topic).join(', ')}): what waits there stays there`,
    }))
}

interface Version {
  readonly plan: SubscriptionPlan
  readonly side: ComparedSide
}

function subscriptionChanges(subscription: string, old: Version, now: Version): readonly RoutingChange[] {
  const settings: readonly (readonly [string, (plan: SubscriptionPlan) => unknown])[] = [
    ['topics', topicsOf],
    ['broker', plan => plan.broker],
    ['group', plan => plan.group],
    ['ordering', plan => plan.ordering],
    ['envelope', plan => plan.envelope],
    ['maxMessage', plan => `${plan.maxMessageBytes}b`],
    ['concurrency', plan => plan.concurrency],
    ['batch', plan => plan.batch],
    ['window', plan => plan.window],
    ['unmatched', plan => plan.unmatched.policy],
  ]
  const texts = settings.flatMap(([name, read]) => changeWords(name, read(old.plan), read(now.plan)))
  const own = texts.map((text): RoutingChange => ({ kind: 'changed', subscription, text }))
  const routes = [...new Set([...allRoutes(old.plan), ...allRoutes(now.plan)].map(({ name }) => name))]
  return [...own, ...routes.flatMap(route => routeChanges(subscription, route, old, now))]
}

function routeChanges(subscription: string, route: string, old: Version, now: Version): readonly RoutingChange[] {
  const [before, after] = [old, now].map(({ plan }) => allRoutes(plan).find(({ name }) => name === route))
  if (before === undefined || after === undefined) {
    const [only, kind] = after === undefined ? [before, 'removed' as const] : [after, 'added' as const]
    return only === undefined ? [] : [{ kind, subscription, route, text: routeWords(only) }]
  }
  const texts = [
    ...changeWords('event', eventWords(before), eventWords(after)),
    ...changeWords('when', written(old, route, 'when'), written(now, route, 'when')),
    ...changeWords('idempotency', idempotencyWords(before), idempotencyWords(after)),
    ...changeWords('schema', before.schema?.file, after.schema?.file),
    ...fileChange(before.schema?.file, after.schema?.file, old.side, now.side),
    ...actionChanges(before.actions, after.actions, old, now, route),
  ]
  return texts.map(text => ({ kind: 'changed', subscription, route, text }))
}

/** Actions are told apart by what they do and where to; those that are the same are compared by their policies and their content. */
function actionChanges(
  before: readonly ActionPlan[],
  after: readonly ActionPlan[],
  old: Version,
  now: Version,
  route: string,
): readonly string[] {
  const left = [...after]
  const texts: string[] = []
  for (const action of before) {
    const index = left.findIndex(other => other.action.summary === action.action.summary)
    const [same] = index === -1 ? [] : left.splice(index, 1)
    if (same === undefined) {
      texts.push(`no longer: ${action.action.summary}`)
      continue
    }
    const { summary, handler } = action.action
    texts.push(...changeWords(summary, policyWords(action), policyWords(same)))
    const [was, is] = [written(old, route, 'actions', action.position), written(now, route, 'actions', same.position)].map(withoutPolicies)
    if (was !== is) texts.push(`${summary}: its content changes from ${was} to ${is}`)
    texts.push(...fileChange(handler?.module, same.action.handler?.module, old.side, now.side))
  }
  texts.push(...left.map(action => `new: ${action.action.summary}`))
  const order = (actions: readonly ActionPlan[]) => actions.map(({ action }) => action.summary)
  if (texts.length === 0 && order(before).join('\n') !== order(after).join('\n'))
    texts.push(`the order of actions changes: ${order(after).join(', ')}`)
  return texts
}

const policyKeys = ['retry', 'timeout', 'deadLetter', 'onFailure', 'deadLetterOversize', 'description']

function withoutPolicies(action: unknown): string {
  if (typeof action !== 'object' || action === null) return flowYaml(action)
  return flowYaml(Object.fromEntries(Object.entries(action).filter(([key]) => !policyKeys.includes(key))))
}

function fileChange(was: string | undefined, is: string | undefined, from: ComparedSide, to: ComparedSide): readonly string[] {
  return was !== undefined && was === is && from.files.get(was) !== to.files.get(is) ? [`${is} has changed`] : []
}

function changeWords(name: string, was: unknown, is: unknown): readonly string[] {
  const [before, after] = [was, is].map(value => (value === undefined ? 'none' : typeof value === 'string' ? value : flowYaml(value)))
  return before === after ? [] : [`${name}: ${before} → ${after}`]
}

/** The value in the file below a route, or below `unmatched`. */
function written({ plan, side }: Version, route: string, ...keys: readonly (string | number)[]): unknown {
  const isUnmatched = plan.unmatched.policy === 'actions' && plan.unmatched.route.name === route
  let value: unknown = side.documents.find(({ file }) => file === plan.file)?.value
  for (const key of [...(isUnmatched ? ['unmatched'] : ['routes', route]), ...keys]) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

function subscriptionWords(plan: SubscriptionPlan): string {
  const routes = plan.routes.length === 1 ? '1 route' : `${plan.routes.length} routes`
  return `topics ${topicsOf(plan).join(', ')}, group ${plan.group}, ${routes}: ${plan.routes.map(({ name }) => name).join(', ')}`
}

function routeWords(route: RoutePlan): string {
  return `${eventWords(route)} → ${route.actions.map(({ action }) => action.summary).join(', ')}`
}

function idempotencyWords({ idempotency }: RoutePlan): string | undefined {
  if (idempotency === undefined) return undefined
  const { text, ttlMs, check } = idempotency
  return `by ${text} for ${formatDuration(ttlMs)}${check ? ', with check' : ''}`
}

function eventWords({ events }: RoutePlan): string {
  return events.length === 0 ? 'every event' : events.join(', ')
}

function allRoutes({ routes, unmatched }: SubscriptionPlan): readonly RoutePlan[] {
  return unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes
}

function topicsOf({ topics }: SubscriptionPlan): readonly string[] {
  return [...topics.names, ...topics.patterns.map(({ source }) => `/${source}/`)]
}

function targetsOf({ subscriptions }: RoutingPlan, kind: 'channel' | 'topic'): readonly string[] {
  const actions = subscriptions.flatMap(allRoutes).flatMap(route => route.actions)
  return actions.flatMap(({ action }) => action.targets.filter(target => target.kind === kind).map(({ name }) => name))
}

function difference(before: readonly string[], after: readonly string[]): Difference {
  const [old, now] = [new Set(before), new Set(after)]
  return { gained: [...now].filter(name => !old.has(name)).sort(), lost: [...old].filter(name => !now.has(name)).sort() }
}

function byName(subscriptions: readonly SubscriptionPlan[]): ReadonlyMap<string, SubscriptionPlan> {
  return new Map(subscriptions.map(plan => [plan.name, plan]))
}
