import type { ValuePath } from '../config/source-document.ts'
import type { Problem } from '../diagnostics/problem.ts'
import { compileTest } from './condition-operators.ts'
import { type DocumentReport, reportOn } from './document-report.ts'
import { rootedPath, splitPath } from './field-path.ts'
import { flowYaml } from './flow-yaml.ts'
import { contradictionOf } from './never-holds.ts'
import type { Scope } from './scope.ts'
import { isMap } from './source-section.ts'

/** Something that every message has which comes this far. */
export interface KnownFact {
  /** Of a scope: `data.total`, `event`. */
  readonly field: string
  /** As `when` has it: a scalar, a list of scalars, or operators. */
  readonly expected: unknown
  readonly place: ValuePath
  /** For messages: `event: order.created`. */
  readonly shown: string
}

/**
 * Lines of a condition that cannot hold together with each other, or with what is known before it: `all: [{ data.total: 5 }, { data.total: 6 }]`, or an
 * event that the route does not name. What one line says against itself is reported where the line is compiled. Returns what is known behind the condition.
 */
export function reportContradictions(
  report: DocumentReport,
  known: readonly KnownFact[],
  path: ValuePath,
  condition: unknown,
): readonly KnownFact[] {
  if (!report.document.isSound(path)) return known
  const facts = [...known]
  const choices: { readonly path: ValuePath; readonly value: unknown }[] = []
  for (const fact of factsOf(path, condition, choices)) {
    const other = facts.find(one => one.field === fact.field && excludes(report, facts, one, fact))
    if (other !== undefined) reportPair(report, other, fact)
    else facts.push(fact)
  }
  for (const choice of choices) reportContradictions(report, facts, choice.path, choice.value)
  return facts
}

/** The lines that must hold; what stands below `any` goes to `choices`. */
function factsOf(
  path: ValuePath,
  condition: unknown,
  choices: { readonly path: ValuePath; readonly value: unknown }[],
): readonly KnownFact[] {
  if (!isMap(condition)) return []
  return Object.entries(condition).flatMap(([key, expected]) => {
    const place = [...path, key]
    if (key === 'all') return elements(place, expected).flatMap(each => factsOf(each.path, each.value, choices))
    if (key === 'any') {
      choices.push(...elements(place, expected))
      return []
    }
    return key === 'not' ? negatedFact(place, expected) : fieldFact(place, key, expected)
  })
}

function elements(path: ValuePath, value: unknown): readonly { readonly path: ValuePath; readonly value: unknown }[] {
  return Array.isArray(value) ? value.map((each: unknown, index) => ({ path: [...path, index], value: each })) : []
}

/** `not` of one line is that line with `not`; of several nothing is known of any one. */
function negatedFact(place: ValuePath, condition: unknown): readonly KnownFact[] {
  const [line, ...more] = isMap(condition) ? Object.entries(condition) : []
  if (line === undefined || more.length > 0 || ['all', 'any', 'not'].includes(line[0])) return []
  const [key, expected] = line
  return fieldFact([...place, key], key, { not: expected }, `not: { ${key}: ${flowYaml(expected)} }`)
}

function fieldFact(place: ValuePath, key: string, expected: unknown, shown = `${key}: ${flowYaml(expected)}`): readonly KnownFact[] {
  const written = splitPath(key)
  const field = written === undefined ? undefined : rootedPath(written)
  // What another field of the message has is not known; a line that contradicts itself is reported where it is compiled.
  if (field === undefined || comparesFields(expected) || (isMap(expected) && contradictionOf(key, expected) !== undefined)) return []
  return [{ field: JSON.stringify([field.root, ...field.segments]), expected, place, shown }]
}

function comparesFields(expected: unknown): boolean {
  return isMap(expected) && Object.entries(expected).some(([name, operand]) => name === 'path' || comparesFields(operand))
}

/** A fact that does not come from a condition. */
export function knownFact(root: 'event' | 'topic', expected: unknown, place: ValuePath): KnownFact {
  return { field: JSON.stringify([root]), expected, place, shown: `${root}: ${flowYaml(expected)}` }
}

function excludes(report: DocumentReport, facts: readonly KnownFact[], one: KnownFact, other: KnownFact): boolean {
  if (isMap(one.expected) && isMap(other.expected)) return operatorsExclude(one.expected, other.expected)
  const values = valuesOf(one.expected) ?? valuesOf(other.expected) ?? []
  // Three lines may leave no value together where each two of them do.
  const tests = [...facts.filter(({ field }) => field === other.field), other].map(fact => testOf(report, fact))
  return tests.every(test => test !== undefined) && !values.some(value => tests.every(test => test(value)))
}

function valuesOf(expected: unknown): readonly unknown[] | undefined {
  if (isMap(expected)) return undefined
  return Array.isArray(expected) ? expected : [expected]
}

/** Undefined for a line with a mistake, which is reported where it is compiled. */
function testOf({ document }: DocumentReport, { expected, place }: KnownFact): ((value: unknown) => boolean) | undefined {
  const problems: Problem[] = []
  const test = compileTest({ report: reportOn(document, problems), results: [], item: false }, place, expected)
  return test === undefined || problems.length > 0 ? undefined : value => test(value, noScope)
}

/** No operand of what is tested reads a field. */
const noScope: Scope = {
  id: undefined,
  source: undefined,
  event: undefined,
  data: undefined,
  key: undefined,
  headers: {},
  topic: '',
  partition: 0,
  offset: 0,
  timestamp: 0,
  results: {},
  item: undefined,
}

function operatorsExclude(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  const [start, otherStart] = [one['prefix'], other['prefix']]
  if (typeof start === 'string' && typeof otherStart === 'string' && !start.startsWith(otherStart) && !otherStart.startsWith(start))
    return true
  const pairs = [
    { ...one, ...other },
    { ...other, ...one },
  ]
  return pairs.some(operators => contradictionOf('it', operators) !== undefined)
}

function reportPair(report: DocumentReport, other: KnownFact, fact: KnownFact): void {
  const { document } = report
  const hint =
    other.field === fact.field && valuesOf(other.expected) !== undefined && valuesOf(fact.expected) !== undefined
      ? 'All lines must hold: write a list of values for a choice'
      : 'All lines must hold: change one, or write any: for a choice'
  const related = [{ message: `it says ${other.shown} here`, file: document.file, range: document.rangeOf(other.place) }]
  report.at(fact.place, 'when-never', `No message has both \`${other.shown}\` and \`${fact.shown}\``, hint, related)
}
