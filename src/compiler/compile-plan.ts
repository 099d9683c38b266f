import type { RouterConfig } from '../config/router-config.ts'
import type { SourceDocument } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import type { ActionType } from './action-type.ts'
import { compileSubscription } from './compile-subscription.ts'
import { schemaCompiler } from './data-schema.ts'
import { reportOn } from './document-report.ts'
import { findLoops } from './find-loops.ts'
import { findUndeclaredEvents } from './find-undeclared-events.ts'
import type { DeadLetterPolicy, RoutingPlan, SubscriptionPlan } from './plan.ts'
import { appPolicies, deadLetterPolicy, namedDeadLetterTopic } from './policies.ts'
import type { ProjectContext } from './project-context.ts'
import { orderGivenUpByDefault } from './retry-topics.ts'
import { SourceSection } from './source-section.ts'

/** What the compiler takes; a loaded project has all of it. */
export interface PlanInput {
  readonly router: RouterConfig
  readonly routeFiles: readonly SourceDocument[]
  /** Parsed JSON Schemas by their path relative to the project's root. */
  readonly eventSchemas: ReadonlyMap<string, unknown>
  fileExists(relative: string): boolean
  /** Takes what came from the environment out of a text that people will see. */
  hide?(text: string): string
}

/**
 * Compiles all route files into one plan. Pure: nothing is read, loaded or started. All problems are reported at once; with an
 * error among them the plan is incomplete and must not run.
 */
export function compilePlan(
  input: PlanInput,
  actions: readonly ActionType[],
): { readonly plan: RoutingPlan; readonly problems: readonly Problem[] } {
  const problems: Problem[] = []
  const { router } = input
  const policies = appPolicies(router.defaults)
  const sections = input.routeFiles.map(document => new SourceSection(reportOn(document, problems), [], document.value))
  const project: ProjectContext = {
    appName: router.name,
    defaultBroker: router.broker,
    brokers: Object.keys(router.brokers),
    apps: router.server.apps.map(app => app.id),
    http: router.http,
    hide: text => input.hide?.(text) ?? text,
    idempotencyTtlMs: router.idempotency.ttlMs,
    actions,
    schemas: schemaCompiler(input.eventSchemas),
    eventSchemas: input.eventSchemas,
    deadLetterTopics: new Set([policies.deadLetter.topic, ...sections.flatMap(fileDeadLetterTopics)].filter(topic => topic !== undefined)),
    fileExists: relative => input.fileExists(relative),
  }
  const deadLetter = appDeadLetter(deadLetterPolicy(policies.deadLetter), problems)
  const enabled: { readonly section: SourceSection; readonly plan: SubscriptionPlan }[] = []
  for (const section of sections) {
    const plan = compileSubscription(section, { project, policies, deadLetter })
    if (section.flag('enabled') !== false) enabled.push({ section, plan })
  }
  reportGroupConflicts(enabled)
  const plan = { subscriptions: enabled.map(({ plan }) => plan) }
  if (policies.retry.mode === 'topics') problems.push(...orderGivenUpByDefault(plan))
  const documents = new Map(input.routeFiles.map(document => [document.file, document]))
  problems.push(...findLoops(plan, documents), ...findUndeclaredEvents(plan, router.topics, documents))
  return { plan, problems: withoutRepeats(problems) }
}

function appDeadLetter(policy: DeadLetterPolicy | undefined, problems: Problem[]): DeadLetterPolicy {
  if (policy !== undefined) return policy
  problems.push({
    code: 'dead-letter-policy',
    severity: 'error',
    message: '`defaults` has `deadLetter: none` without `onFailure`: what should happen to a message that fails?',
    file: 'router.yaml',
    hint: 'Add onFailure: skip (drop it, counted) or onFailure: stop (pause the partition)',
  })
  return { kind: 'topic', topic: undefined }
}

/** Every dead-letter topic that a file names, at any level. */
function fileDeadLetterTopics(file: SourceSection): readonly (string | undefined)[] {
  const routes = file.section('routes')
  const withActions = [...routes.keys().map(name => routes.section(name)), file.section('unmatched')]
  const actions = withActions.flatMap(route =>
    route.elements('actions').map(({ path, value }) => new SourceSection(file.report, path, value)),
  )
  return [file.section('defaults'), ...withActions, ...actions].map(namedDeadLetterTopic)
}

/** Members of one group with different topics take each other's partitions: one group is one subscription. */
function reportGroupConflicts(enabled: readonly { readonly section: SourceSection; readonly plan: SubscriptionPlan }[]): void {
  const firsts = new Map<string, SourceSection>()
  for (const { section, plan } of enabled) {
    if (plan.role === 'fanout') continue
    const first = firsts.get(plan.group)
    if (first === undefined) {
      firsts.set(plan.group, section)
      continue
    }
    const { document } = first.report
    const related = [{ message: 'the other subscription with this group', file: document.file, range: document.rangeOf(groupPath(first)) }]
    section.report.at(
      groupPath(section),
      'group-conflict',
      `The consumer group \`${plan.group}\` is already used by ${document.file}`,
      'Give each file a group of its own',
      related,
    )
  }
}

/** Where a file has no `group` its topics stand for it. */
function groupPath(section: SourceSection): readonly string[] {
  return section.pathOf(section.has('group') ? 'group' : 'topics').map(String)
}

/** One mistake gives one problem, also where an anchor makes its text part of several routes. */
function withoutRepeats(problems: readonly Problem[]): readonly Problem[] {
  const seen = new Set<string>()
  return problems.filter(problem => {
    const identity = JSON.stringify([problem.code, problem.file, problem.range, problem.message])
    return !seen.has(identity) && seen.add(identity)
  })
}
