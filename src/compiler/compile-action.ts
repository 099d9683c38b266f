import type { ValuePath } from '../config/source-document.ts'
import type { ActionSource, ActionType } from './action-type.ts'
import { compileCondition } from './condition.ts'
import { compileData } from './data-template.ts'
import { compilePath, type FieldPath, splitPath } from './field-path.ts'
import { type KnownFact, reportContradictions } from './find-contradictions.ts'
import { compileName } from './name-template.ts'
import type { ActionPlan, BreakerPolicy, CompiledAction, DeadLetterPolicy, ForEachPlan } from './plan.ts'
import { deadLetterPolicy, mergePolicies, type Policies } from './policies.ts'
import { presentPaths } from './present-paths.ts'
import type { ProjectContext } from './project-context.ts'
import { resolveInProject } from './project-path.ts'
import type { SchemaView } from './schema-view.ts'
import { type Scope, TemplateError } from './scope.ts'
import type { SourceSection } from './source-section.ts'
import { readFieldPath, type TemplateContext } from './template-context.ts'
import { kindOf } from './template-helpers.ts'
import { UnknownValue } from './unknown-value.ts'

/** What an action inherits from its route and subscription. */
export interface ActionSurroundings {
  readonly project: ProjectContext
  readonly broker: string
  readonly role: 'work' | 'fanout'
  readonly policies: Policies
  readonly deadLetter: DeadLetterPolicy
  /** `as` of the actions before it. */
  readonly results: readonly string[]
  /** What the route's JSON Schema says of `data`. */
  readonly data: SchemaView | undefined
  /** Paths that the route's `when` has made sure of. */
  readonly present: readonly string[]
  /** What every message has that gets past the route's `when`. */
  readonly known: readonly KnownFact[]
}

/** Undefined after reporting, or where the schema check has reported it. */
export function compileAction(section: SourceSection, position: number, around: ActionSurroundings): ActionPlan | undefined {
  const { project } = around
  const type = project.actions.find(candidate => section.has(candidate.key))
  const policies = mergePolicies(around.policies, section)
  const deadLetter = levelDeadLetter(section, policies, around.deadLetter)
  const present = new Set([...around.present, ...presentPaths(section.value('when'))])
  const outside: TemplateContext = { report: section.report, results: around.results, item: false, schemas: { data: around.data }, present }
  const forEach = section.isReadable('forEach') ? compileForEach(outside, section) : undefined
  const when = section.has('when') ? compileCondition(outside, section.pathOf('when'), section.value('when')) : undefined
  reportContradictions(section.report, around.known, section.pathOf('when'), section.value('when'))
  const item = forEach === undefined ? undefined : elementSchema(around.data, forEach.path)
  const inside: TemplateContext = { ...outside, item: section.has('forEach'), schemas: { data: around.data, item } }
  const action = type?.compile(actionSource(section, type, inside, around))
  if (type === undefined && section.report.document.isSound(section.path)) {
    const keys = project.actions.map(candidate => candidate.key)
    section.report.at(section.path, 'schema-missing-key', `An action needs one of ${keys.join(', ')}`)
  }
  if (action === undefined) return undefined
  reportLongRetries(section, policies)
  return {
    position,
    as: section.text('as'),
    when,
    forEach,
    retry: policies.retry,
    breaker: breakerOf(section, policies, action),
    timeoutMs: policies.timeoutMs,
    deadLetter,
    continueOnError: section.flag('continueOnError') ?? false,
    action,
  }
}

function breakerOf(section: SourceSection, { breaker }: Policies, { kind, isLocal }: CompiledAction): BreakerPolicy | undefined {
  if (isLocal === true && section.isReadable('breaker'))
    section.report.atKey(
      section.pathOf('breaker'),
      'schema-unsupported',
      `A ${kind} has no breaker: it reaches nothing that could be down`,
      'Remove it',
    )
  const { failures, resetMs, isOff } = breaker
  return isOff || isLocal === true ? undefined : { failures, resetMs }
}

/** A key waits for its retries: longer than this is hardly meant, in ms. */
const longestRetries = 3_600_000

function reportLongRetries(section: SourceSection, { retry, timeoutMs }: Policies): void {
  if (retry.attempts > 1_000_000 || retry.mode === 'topics') return
  let total = retry.attempts * timeoutMs
  for (let wait = 1; wait < retry.attempts && total <= longestRetries; wait++) {
    const growth = retry.backoff === 'fixed' ? 1 : retry.backoff === 'linear' ? wait : 2 ** Math.min(wait - 1, 52)
    total += Math.min(retry.maxDelayMs, retry.delayMs * growth)
  }
  if (total <= longestRetries) return
  section.report.warn(
    section.isReadable('retry') ? section.pathOf('retry') : section.path,
    'retry-long',
    `${retry.attempts} attempts of up to ${timeoutMs / 1000}s and the waits between them can take over an hour, and the messages of the key wait all that time`,
    'Use fewer attempts, a shorter `timeout` or a smaller `maxDelay`, and replay from the dead-letter topic',
  )
}

/** The dead-letter policy at one level; reports where `deadLetter: none` takes effect without `onFailure`. */
export function levelDeadLetter(section: SourceSection, policies: Policies, inherited: DeadLetterPolicy): DeadLetterPolicy {
  const policy = deadLetterPolicy(policies.deadLetter)
  if (policy !== undefined) return policy
  // Inherited together with the missing `onFailure`: reported once, where `none` is written.
  if (section.isReadable('deadLetter'))
    section.report.at(
      section.pathOf('deadLetter'),
      'dead-letter-policy',
      '`deadLetter: none` needs `onFailure`: what should happen to a message that fails?',
      'Add onFailure: skip (drop it, counted) or onFailure: stop (pause the partition)',
    )
  return inherited
}

/** What is known of the elements of a list below `data`. */
function elementSchema(data: SchemaView | undefined, path: string): SchemaView | undefined {
  const [root, ...segments] = splitPath(path)?.parts ?? []
  return root === 'data' ? data?.elements(segments) : undefined
}

/** More elements than this in one message are refused: one message must not become a flood. */
const maxElements = 1_000

function compileForEach(context: TemplateContext, section: SourceSection): ForEachPlan | undefined {
  const text = section.text('forEach')
  const path = text === undefined ? undefined : readFieldPath(context, { kind: 'text', path: section.pathOf('forEach'), index: 0 }, text)
  return path === undefined ? undefined : forEachPlan(path)
}

function forEachPlan(path: FieldPath): ForEachPlan {
  const read = compilePath(path)
  return {
    path: path.text,
    read(scope: Scope): readonly unknown[] {
      const list = read(scope)
      if (list instanceof UnknownValue) return [UnknownValue.at('item')]
      if (!Array.isArray(list)) throw new TemplateError(`${path.text} is ${kindOf(list)}, and forEach takes a list`, path.text)
      if (list.length > maxElements)
        throw new TemplateError(`${path.text} has ${list.length} elements, and forEach takes at most ${maxElements}`, path.text)
      return list
    },
  }
}

function actionSource(section: SourceSection, type: ActionType, context: TemplateContext, around: ActionSurroundings): ActionSource {
  const { report } = section
  const { project } = around
  return {
    path: section.pathOf(type.key),
    value: section.value(type.key),
    section: section.section(type.key),
    siblings: section,
    broker: around.broker,
    role: around.role,
    apps: project.apps,
    brokers: project.brokers,
    http: project.http,
    hide: project.hide,
    report: (path: ValuePath, code, message, hint) => report.at(path, code, message, hint),
    name: (path, text, place) => compileName(context, path, text, place),
    data: (path, value) => compileData(context, path, value),
    projectPath(path, written) {
      const resolved = resolveInProject(report.document.file, written)
      if (resolved === undefined)
        report.at(path, 'handler-missing', `\`${written}\` lies outside the project`, 'Name a file of the project, relative to this file')
      return resolved
    },
    fileExists: project.fileExists,
  }
}
