import { didYouMean } from '../config/did-you-mean.ts'
import type { DeclaredTopics } from '../config/router-config.ts'
import { problemAt, type SourceDocument, type ValuePath } from '../config/source-document.ts'
import type { Problem, Severity } from '../diagnostics/problem.ts'
import { actionsOf, type PlacedAction, placeOfAction } from './action-place.ts'
import { patternsMeet } from './event-matcher.ts'
import type { RoutePlan, RoutingPlan, SubscriptionPlan } from './plan.ts'

/**
 * Events that cannot come: names in a route's `event` that no topic of its file has, and emits of what their topic does not have. What a topic has is
 * said under `topics` in router.yaml; an envelope without a name makes the topic's name the event.
 */
export function findUndeclaredEvents(
  { subscriptions }: RoutingPlan,
  declared: DeclaredTopics,
  documents: ReadonlyMap<string, SourceDocument>,
): readonly Problem[] {
  return subscriptions.flatMap(subscription => {
    const document = documents.get(subscription.file)
    if (document === undefined) return []
    const possible = possibleEvents(subscription, declared)
    const routes = possible === undefined ? [] : subscription.routes.flatMap(route => namedInVain(document, route, possible))
    return [...routes, ...actionsOf(subscription).flatMap(placed => emittedInVain(document, placed, declared))]
  })
}

interface PossibleEvents {
  readonly patterns: readonly string[]
  /** Why there are no others, as the end of a sentence. */
  readonly because: string
  readonly severity: Severity
}

/** Undefined where nothing is known. */
function possibleEvents({ topics, envelope }: SubscriptionPlan, declared: DeclaredTopics): PossibleEvents | undefined {
  const { names, patterns } = topics
  if (patterns.length > 0 || names.length === 0) return undefined
  const isNameless = envelope.kind === 'raw' || (envelope.kind === 'mapping' && envelope.event === undefined)
  if (isNameless)
    return { patterns: names, because: "this `envelope` has no event's name, and the topic's stands for it", severity: 'error' }
  const known = names.map(topic => declared.get(topic))
  if (!known.every(events => events !== undefined)) return undefined
  // The declaration may be what is wrong.
  return {
    patterns: known.flat(),
    because: `router.yaml says what ${names.join(' and ')} ${names.length === 1 ? 'has' : 'have'}`,
    severity: 'warning',
  }
}

function namedInVain(document: SourceDocument, route: RoutePlan, { patterns, because, severity }: PossibleEvents): readonly Problem[] {
  return route.events
    .filter(event => !patterns.some(pattern => patternsMeet(pattern, event)))
    .map(event => {
      const path = placeOfPattern(document, route, event)
      return problemAt(document, path, 'event-undeclared', `No event \`${event}\` can come: ${because}`, {
        hint: hintFor(event, patterns),
        severity,
      })
    })
}

function emittedInVain(document: SourceDocument, placed: PlacedAction, declared: DeclaredTopics): readonly Problem[] {
  const { route, action } = placed
  return action.action.targets.flatMap(target => {
    const possible = target.kind === 'topic' && target.isConstant ? declared.get(target.name) : undefined
    if (target.kind !== 'topic' || possible === undefined) return []
    const sent = target.event !== undefined ? [target.event] : target.keepsEvent ? route.events : []
    const [event] = sent
    if (event === undefined || sent.some(name => possible.some(pattern => patternsMeet(pattern, name)))) return []
    const message = `The topic ${target.name} gets \`${event}\` here: router.yaml does not list it`
    return [
      problemAt(document, placeOfAction(placed), 'event-undeclared', message, { hint: hintFor(event, possible), severity: 'warning' }),
    ]
  })
}

function hintFor(event: string, patterns: readonly string[]): string {
  const near = didYouMean(event, patterns)
  if (near !== undefined) return `Did you mean \`${near}\`?`
  const shown = patterns.slice(0, 8).join(', ')
  return `Events there: ${shown}${patterns.length > 8 ? ', …' : ''}`
}

/** Of one pattern in a list, its own place. */
function placeOfPattern(document: SourceDocument, route: RoutePlan, event: string): ValuePath {
  const path = ['routes', route.name, 'event']
  const written = path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    document.value,
  )
  return Array.isArray(written) ? [...path, written.indexOf(event)] : path
}

/** Topics of router.yaml that no route file reads or emits to: most likely a name is misspelt. */
export function findUnusedTopics({ subscriptions }: RoutingPlan, declared: DeclaredTopics, routerFile: SourceDocument): readonly Problem[] {
  const targets = subscriptions.flatMap(actionsOf).flatMap(({ action }) => action.action.targets)
  const emitted = targets.filter(target => target.kind === 'topic')
  // Where a template names the topic, nobody can tell which ones are never meant.
  if (emitted.some(({ isConstant }) => !isConstant)) return []
  const used = new Set([...subscriptions.flatMap(({ topics }) => topics.names), ...emitted.map(({ name }) => name)])
  const patterns = subscriptions.flatMap(({ topics }) => topics.patterns)
  return [...declared.keys()]
    .filter(topic => !used.has(topic) && !patterns.some(pattern => pattern.matches(topic)))
    .map(topic => {
      const near = didYouMean(topic, used)
      const hint = near === undefined ? 'Read it in a route file, or remove it here' : `Did you mean \`${near}\`?`
      const path = ['topics', topic]
      const range = routerFile.keyRangeOf(path)
      return problemAt(routerFile, path, 'topic-unused', `No route file reads the topic ${topic}, or emits to it`, {
        hint,
        range,
        severity: 'warning',
      })
    })
}
