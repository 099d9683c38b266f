import { didYouMean } from '../config/did-you-mean.ts'
import { subscriptionName } from '../config/subscription-name.ts'
import { levelDeadLetter } from './compile-action.ts'
import { compileRoute, type RouteSurroundings } from './compile-route.ts'
import { compileEnvelope } from './envelope-mapping.ts'
import { compileMatcher } from './event-matcher.ts'
import { checkFanout, countingFailures } from './fanout.ts'
import { knownFact } from './find-contradictions.ts'
import { isoInstant } from './iso-instant.ts'
import type { DeadLetterPolicy, Ordering, RoutePlan, StartPosition, SubscriptionPlan, UnmatchedPlan } from './plan.ts'
import { mergePolicies, type Policies } from './policies.ts'
import type { ProjectContext } from './project-context.ts'
import { reportOrderGivenUp, retryTopicsIn } from './retry-topics.ts'
import { isMap, type SourceSection } from './source-section.ts'
import { compileTopics, replayTopicOf } from './topic-selector.ts'

/** What a file inherits from router.yaml. */
export interface FileSurroundings {
  readonly project: ProjectContext
  readonly policies: Policies
  readonly deadLetter: DeadLetterPolicy
}

/** One route file, checked as a whole; disabled routes are checked and left out. */
export function compileSubscription(section: SourceSection, around: FileSurroundings): SubscriptionPlan {
  const { project } = around
  const { file } = section.report.document
  const name = subscriptionName(file)
  const broker = compileBroker(section, project)
  const defaults = section.section('defaults')
  const role = section.oneOf('role', ['work', 'fanout']) ?? 'work'
  if (role === 'fanout') checkFanout(section)
  const inherited = role === 'fanout' ? { ...around, ...countingFailures(around.policies) } : around
  const policies = mergePolicies(inherited.policies, defaults)
  const deadLetter = levelDeadLetter(defaults, policies, inherited.deadLetter)
  const envelope = compileEnvelope(section)
  const topics = compileTopics(section, project.deadLetterTopics)
  const known = topics.patterns.length > 0 || topics.names.length === 0 ? [] : [knownFact('topic', topics.names, section.pathOf('topics'))]
  const surroundings: RouteSurroundings = { project, subscription: name, broker, role, envelope, policies, deadLetter, known }
  const routes = compileRoutes(section.section('routes'), surroundings)
  const group = section.text('group') ?? `${project.appName}.${name.replaceAll('/', '.')}`
  const batch = section.section('batch')
  const window = section.section('window')
  const ordering: Ordering = section.oneOf('ordering', ['key', 'partition', 'none']) ?? 'key'
  const unmatched = compileUnmatched(section, surroundings)
  if (role === 'work' && ordering !== 'none') reportOrderGivenUp(section)
  return {
    name,
    file,
    broker,
    role,
    group,
    replayTopic: role === 'fanout' ? undefined : replayTopicOf(group),
    retryTopics: retryTopicsIn(section, group, unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes),
    topics,
    from: compileFrom(section),
    ordering,
    batch: { size: batch.count('size') ?? 100, timeoutMs: batch.duration('timeout') },
    envelope,
    maxMessageBytes: section.size('maxMessage') ?? 10 * 1_048_576,
    concurrency: section.count('concurrency') ?? 64,
    window: { messages: window.count('messages') ?? 10_000, bytes: window.size('bytes') ?? 64 * 1_048_576 },
    routes,
    unmatched,
    deadLetter,
    retry: policies.retry,
    match: compileMatcher(routes),
  }
}

function compileBroker(section: SourceSection, project: ProjectContext): string {
  const broker = section.text('broker') ?? project.defaultBroker
  if (section.isReadable('broker') && !project.brokers.includes(broker)) {
    const near = didYouMean(broker, project.brokers)
    const hint = near === undefined ? `Brokers are ${project.brokers.join(', ')}` : `Did you mean \`${near}\`?`
    section.report.at(section.pathOf('broker'), 'broker-unknown', `router.yaml defines no broker \`${broker}\``, hint)
  }
  return broker
}

function compileFrom(section: SourceSection): StartPosition {
  const from = section.text('from') ?? 'latest'
  if (from === 'latest' || from === 'earliest') return { kind: from }
  const timestamp = isoInstant(from)
  if (timestamp !== undefined) return { kind: 'timestamp', timestamp }
  const near = didYouMean(from, ['latest', 'earliest'])
  section.report.at(
    section.pathOf('from'),
    'schema-value',
    `\`${from}\` is no place to start from`,
    near === undefined ? 'Write latest, earliest or an ISO timestamp' : `Did you mean \`${near}\`?`,
  )
  return { kind: 'latest' }
}

function compileRoutes(section: SourceSection, around: RouteSurroundings): readonly RoutePlan[] {
  const enabled: RoutePlan[] = []
  for (const name of section.keys()) {
    if (name === 'unmatched')
      section.report.atKey(
        section.pathOf(name),
        'schema-value',
        'A route cannot be named `unmatched`: that is the name of the default',
        'Choose another name',
      )
    const route = section.section(name)
    const plan = compileRoute(route, name, around)
    if (route.flag('enabled') !== false) enabled.push(plan)
  }
  return enabled
}

function compileUnmatched(section: SourceSection, around: RouteSurroundings): UnmatchedPlan {
  const value = section.value('unmatched')
  if (isMap(value)) return { policy: 'actions', route: compileRoute(section.section('unmatched'), 'unmatched', around) }
  return { policy: section.oneOf('unmatched', ['ignore', 'dead-letter']) ?? 'ignore' }
}
