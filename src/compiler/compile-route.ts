import { type ActionSurroundings, compileAction, levelDeadLetter } from './compile-action.ts'
import { compileIdempotency } from './compile-idempotency.ts'
import { compileCondition } from './condition.ts'
import { eventPatternFault } from './event-matcher.ts'
import { type KnownFact, knownFact, reportContradictions } from './find-contradictions.ts'
import type { ActionPlan, DataSchema, DeadLetterPolicy, EnvelopePlan, RoutePlan } from './plan.ts'
import { mergePolicies, type Policies } from './policies.ts'
import { presentPaths } from './present-paths.ts'
import type { ProjectContext } from './project-context.ts'
import { resolveInProject } from './project-path.ts'
import { schemaView } from './schema-view.ts'
import { SourceSection } from './source-section.ts'

/** What a route inherits from its file. */
export interface RouteSurroundings {
  readonly project: ProjectContext
  /** The subscription's name. */
  readonly subscription: string
  readonly broker: string
  readonly role: 'work' | 'fanout'
  readonly envelope: EnvelopePlan
  readonly policies: Policies
  readonly deadLetter: DeadLetterPolicy
  /** What every message of the file has. */
  readonly known: readonly KnownFact[]
}

/** Compiles everything in a route, so that all its problems come out; what has a problem is missing from the plan. */
export function compileRoute(section: SourceSection, name: string, around: RouteSurroundings): RoutePlan {
  const { report } = section
  const policies = mergePolicies(around.policies, section)
  const deadLetter = levelDeadLetter(section, policies, around.deadLetter)
  const schema = section.isReadable('schema') ? compileSchema(section, around.project) : undefined
  const data = schema === undefined ? undefined : schemaView(around.project.eventSchemas, schema.file)
  const when = section.has('when')
    ? compileCondition({ report, results: [], item: false, schemas: { data } }, section.pathOf('when'), section.value('when'))
    : undefined
  const present = presentPaths(section.value('when'))
  const events = compileEvents(section)
  const known = reportContradictions(
    report,
    [...around.known, ...eventFacts(section, events)],
    section.pathOf('when'),
    section.value('when'),
  )
  const actions = compileActions(section, {
    project: around.project,
    broker: around.broker,
    role: around.role,
    policies,
    deadLetter,
    results: [],
    data,
    present,
    known,
  })
  return {
    name,
    id: `${around.subscription}/${name}`,
    events,
    when,
    schema,
    actions,
    idempotency: compileIdempotency(section, {
      context: { report, results: [], item: false, schemas: { data }, present: new Set(present) },
      envelope: around.envelope,
      ttlMs: around.project.idempotencyTtlMs,
    }),
    deadLetter,
    retry: policies.retry,
    keepsResults: actions.some(action => action.as !== undefined),
  }
}

function compileEvents(section: SourceSection): readonly string[] {
  const { report } = section
  const patterns = new Set<string>()
  for (const { path, value } of section.elements('event')) {
    if (typeof value !== 'string' || !report.document.isSound(path)) continue
    const fault = eventPatternFault(value)
    if (fault === undefined) patterns.add(value)
    else report.at(path, 'event-pattern', fault.message, fault.hint)
  }
  return [...patterns]
}

/** What the patterns say of the event's name, where they can be said as a line of a condition. */
function eventFacts(section: SourceSection, events: readonly string[]): readonly KnownFact[] {
  const [first, second] = events
  const place = section.pathOf('event')
  if (first === undefined) return []
  if (!events.some(pattern => pattern.includes('*'))) return [knownFact('event', second === undefined ? first : events, place)]
  const start = second === undefined ? first.slice(0, first.indexOf('*')) : ''
  return start === '' ? [] : [{ ...knownFact('event', { prefix: start }, place), shown: `event: ${first}` }]
}

function compileActions(section: SourceSection, around: ActionSurroundings): readonly ActionPlan[] {
  const list = section.value('actions')
  const actions: ActionPlan[] = []
  const results: string[] = []
  if (!Array.isArray(list)) return actions
  for (const [position, value] of list.entries()) {
    const action = new SourceSection(section.report, [...section.pathOf('actions'), position], value)
    const compiled = compileAction(action, position, { ...around, results: [...results] })
    if (compiled !== undefined) actions.push(compiled)
    const as = action.value('as')
    if (typeof as !== 'string') continue
    if (results.includes(as))
      section.report.at(
        action.pathOf('as'),
        'schema-value',
        `An earlier action of this route already keeps its result as \`${as}\``,
        'Choose another name',
      )
    results.push(as)
  }
  return actions
}

function compileSchema(section: SourceSection, project: ProjectContext): DataSchema | undefined {
  const written = section.text('schema')
  if (written === undefined) return undefined
  const path = section.pathOf('schema')
  const file = resolveInProject(section.report.document.file, written)
  const schema = file === undefined ? `\`${written}\` lies outside the project` : project.schemas.compile(file)
  if (typeof schema !== 'string') return schema
  section.report.at(
    path,
    'json-schema-invalid',
    schema,
    file === undefined ? 'Name a file of the project, relative to this file' : undefined,
  )
  return undefined
}
