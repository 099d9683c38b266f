import type { SourceDocument } from '../config/source-document.ts'
import type { Problem, RelatedPlace } from '../diagnostics/problem.ts'
import { actionsOf, type PlacedAction, placeOfAction } from './action-place.ts'
import { patternsMeet } from './event-matcher.ts'
import type { RoutingPlan, SubscriptionPlan } from './plan.ts'

/** A way that a message takes from one route to a topic. */
interface Step extends PlacedAction {
  readonly kind: 'emit' | 'dead-letter'
  readonly broker: string
  readonly topic: string
  /** Event names or patterns it may have there; undefined: any. */
  readonly events: readonly string[] | undefined
  /** Something on the way may hold it back. */
  readonly isConditional: boolean
}

/**
 * Circles that events can go round in without end: by `emit`, and by dead letters that the same routes read again. An error where nothing on the way can
 * hold a message back; a warning where a `when` can, or only failing messages go round.
 */
export function findLoops(plan: RoutingPlan, documents: ReadonlyMap<string, SourceDocument>): readonly Problem[] {
  const steps = plan.subscriptions.flatMap(stepsOf)
  const problems: Problem[] = []
  const seen = new Set<string>()
  const readers = new Map<string, readonly Step[]>()
  const readersOf = (step: Step): readonly Step[] => {
    const topic = `${step.broker} ${step.topic}`
    const known = readers.get(topic) ?? steps.filter(({ subscription }) => readsTopic(subscription, step))
    readers.set(topic, known)
    return known
  }
  for (const start of steps) {
    const circle = circleFrom(readersOf, start)
    if (circle === undefined) continue
    const identity = circle.map(nameOf).sort().join()
    if (seen.has(identity)) continue
    seen.add(identity)
    problems.push(problemOf(circle, documents))
  }
  return problems
}

function stepsOf(subscription: SubscriptionPlan): readonly Step[] {
  return actionsOf(subscription).flatMap(placed => [...emitsOf(placed), ...deadLettersOf(placed)])
}

function emitsOf({ subscription, route, action }: PlacedAction): readonly Step[] {
  const isConditional = route.when !== undefined || action.when !== undefined
  const isUnmatched = subscription.unmatched.policy === 'actions' && subscription.unmatched.route === route
  return action.action.targets.flatMap(target => {
    if (target.kind !== 'topic' || !target.isConstant) return []
    const passing = route.events.length === 0 || isUnmatched ? undefined : route.events
    const events = target.event !== undefined ? [target.event] : target.keepsEvent ? passing : undefined
    // Of an event whose name a template makes, nobody can say where it goes.
    if (events === undefined && !target.keepsEvent) return []
    return [{ subscription, route, action, kind: 'emit' as const, broker: target.broker, topic: target.name, events, isConditional }]
  })
}

function deadLettersOf({ subscription, route, action }: PlacedAction): readonly Step[] {
  const { deadLetter } = action
  if (deadLetter.kind === 'none' || deadLetter.topic === undefined) return []
  const events = route.events.length === 0 ? undefined : route.events
  return [
    { subscription, route, action, kind: 'dead-letter', broker: subscription.broker, topic: deadLetter.topic, events, isConditional: true },
  ]
}

/** The shortest way from a step back to its own route. */
function circleFrom(readersOf: (step: Step) => readonly Step[], start: Step): readonly Step[] | undefined {
  const visited = new Set<Step>([start])
  let trails: readonly (readonly Step[])[] = [[start]]
  while (trails.length > 0) {
    const longer: (readonly Step[])[] = []
    for (const trail of trails) {
      const last = trail.at(-1) ?? start
      const readers = readersOf(last)
      if (readers.includes(start) && takesEvent(start, last)) return trail
      for (const next of readers) {
        if (visited.has(next) || !takesEvent(next, last)) continue
        visited.add(next)
        longer.push([...trail, next])
      }
    }
    trails = longer
  }
  return undefined
}

function readsTopic({ broker, topics }: SubscriptionPlan, sent: Step): boolean {
  return broker === sent.broker && (topics.names.includes(sent.topic) || topics.patterns.some(pattern => pattern.matches(sent.topic)))
}

/** Whether the route of a step, whose subscription reads the topic, takes some event that `from` sends there. */
function takesEvent({ subscription, route }: Step, from: Step): boolean {
  if (from.events === undefined) return true
  const isUnmatched = subscription.unmatched.policy === 'actions' && subscription.unmatched.route === route
  if (isUnmatched) return from.events.some(event => event.includes('*') || subscription.match(event).length === 0)
  return route.events.length === 0 || from.events.some(event => route.events.some(pattern => patternsMeet(event, pattern)))
}

function problemOf(circle: readonly Step[], documents: ReadonlyMap<string, SourceDocument>): Problem {
  const [first] = circle
  const way = circle.map(step => `${step.route.id} ${step.kind === 'emit' ? 'emits' : 'dead-letters'} to ${step.topic}`)
  const isSure = circle.every(step => !step.isConditional)
  const onlyFailing = circle.some(step => step.kind === 'dead-letter')
  const hint = onlyFailing
    ? 'Read dead letters in a file of their own whose dead letters go elsewhere'
    : 'Emit to a topic that no route on the way reads, or give the emitted event another name'
  const document = first && documents.get(first.subscription.file)
  return {
    code: 'event-loop',
    severity: isSure ? 'error' : 'warning',
    message: `${onlyFailing ? 'Failing events' : 'Events'} go round in a circle: ${way.join(', ')}, which ${first?.route.id} reads`,
    file: first?.subscription.file ?? '',
    ...(document && first ? { range: document.rangeOf(placeOfAction(first)) } : {}),
    hint,
    ...(circle.length === 1 ? {} : { related: circle.slice(1).map(step => relatedPlace(step, documents)) }),
  }
}

function relatedPlace(step: Step, documents: ReadonlyMap<string, SourceDocument>): RelatedPlace {
  const { file } = step.subscription
  const document = documents.get(file)
  return { message: `goes on here to ${step.topic}`, file, ...(document ? { range: document.rangeOf(placeOfAction(step)) } : {}) }
}

function nameOf({ route, action, kind }: Step): string {
  // A route's actions fail into one topic: that is one circle, not one for each of them.
  return kind === 'emit' ? `${route.id}/${action.position}` : route.id
}
