import { didYouMean } from '../config/did-you-mean.ts'
import type { ValuePath } from '../config/source-document.ts'
import { compilePath } from './field-path.ts'
import { isoInstant } from './iso-instant.ts'
import { compilePattern } from './pattern.ts'
import type { Scope, Template } from './scope.ts'
import { isMap } from './source-section.ts'
import { readFieldPath, type TemplateContext } from './template-context.ts'

/** What a value must be. A missing value is undefined. */
export type ValueTest = (value: unknown, scope: Scope) => boolean

/** Undefined after reporting. */
type CompileOperator = (context: TemplateContext, path: ValuePath, operand: unknown) => ValueTest | undefined

const operators: Readonly<Record<string, CompileOperator>> = {
  gt: comparison((left, right) => left > right),
  gte: comparison((left, right) => left >= right),
  lt: comparison((left, right) => left < right),
  lte: comparison((left, right) => left <= right),
  prefix: textOperator('prefix', (text, start) => text.startsWith(start)),
  suffix: textOperator('suffix', (text, end) => text.endsWith(end)),
  contains: compileContains,
  matches: compileMatches,
  exists: compileExists,
  not: (context, path, operand) => {
    const inner = compileTest(context, path, operand)
    return inner === undefined ? undefined : (value, scope) => !inner(value, scope)
  },
}

const operatorNames = Object.keys(operators)

/** Compiles what stands under a path: a scalar it must equal, a list of such scalars, or operators that must all hold. Undefined after reporting. */
export function compileTest(context: TemplateContext, path: ValuePath, expected: unknown): ValueTest | undefined {
  if (Array.isArray(expected)) return compileAnyOf(context, path, expected)
  if (isMap(expected)) return compileOperators(context, path, expected)
  return compileEquals(context, path, expected)
}

function compileEquals(context: TemplateContext, path: ValuePath, expected: unknown): ValueTest | undefined {
  if (!context.report.document.isSound(path) || refusesTemplate(context, path, expected)) return undefined
  if (expected === undefined) return undefined
  return value => value === expected
}

function compileAnyOf(context: TemplateContext, path: ValuePath, list: readonly unknown[]): ValueTest | undefined {
  const { report } = context
  if (list.length === 0) {
    if (report.document.isSound(path))
      report.at(path, 'when-condition', 'An empty list matches nothing', 'List the allowed values: [paid, shipped]')
    return undefined
  }
  let fine = true
  for (const [index, element] of list.entries()) {
    const place = [...path, index]
    if (!report.document.isSound(place) || refusesTemplate(context, place, element)) fine = false
    else if (typeof element === 'object' && element !== null) {
      fine = false
      report.at(
        place,
        'when-condition',
        'A list of allowed values holds texts, numbers, true, false and null only',
        'Use any: for a choice between conditions',
      )
    }
  }
  if (!fine) return undefined
  const allowed = new Set(list)
  return value => allowed.has(value)
}

function compileOperators(context: TemplateContext, path: ValuePath, map: Readonly<Record<string, unknown>>): ValueTest | undefined {
  const { report } = context
  const names = Object.keys(map)
  const tests: ValueTest[] = []
  if (names.length === 0 && report.document.isSound(path))
    report.at(path, 'when-condition', 'No operator is given', `Operators are ${operatorNames.join(', ')}`)
  for (const name of names) {
    const place = [...path, name]
    const compile = Object.hasOwn(operators, name) ? operators[name] : undefined
    if (compile === undefined) {
      if (report.document.isSound(place)) reportUnknownOperator(context, place, name)
      continue
    }
    const test = compile(context, place, map[name])
    if (test !== undefined) tests.push(test)
  }
  const [first, ...more] = tests
  if (first === undefined || tests.length !== names.length) return undefined
  return more.length === 0 ? first : (value, scope) => tests.every(test => test(value, scope))
}

function reportUnknownOperator(context: TemplateContext, place: ValuePath, name: string): void {
  const near = didYouMean(name, operatorNames)
  const hint = near === undefined ? `Operators are ${operatorNames.join(', ')}` : `Did you mean \`${near}\`?`
  context.report.atKey(
    place,
    'when-condition',
    `\`${name}\` is not an operator`,
    name === 'path' ? 'Compare with an operator: { gt: { path: data.min } }' : hint,
  )
}

/** An operand: a constant, or `{ path: data.min }`, read from the message. */
type Operand<T> = { readonly kind: 'constant'; readonly value: T } | { readonly kind: 'field'; readonly read: Template<unknown> }

function readOperand<T>(
  context: TemplateContext,
  path: ValuePath,
  operand: unknown,
  parse: (value: unknown) => T | undefined,
  expected: string,
): Operand<T> | undefined {
  const { report } = context
  if (isMap(operand) && typeof operand['path'] === 'string' && Object.keys(operand).length === 1) {
    const field = readFieldPath(context, { kind: 'text', path: [...path, 'path'], index: 0 }, operand['path'])
    return field === undefined ? undefined : { kind: 'field', read: compilePath(field) }
  }
  if (!report.document.isSound(path) || refusesTemplate(context, path, operand)) return undefined
  const value = parse(operand)
  if (value !== undefined) return { kind: 'constant', value }
  report.at(path, 'when-condition', `\`${String(path.at(-1))}\` takes ${expected}`)
  return undefined
}

/** Numbers with numbers, ISO timestamps given as text with each other; anything else does not hold. */
function comparison(holds: (left: number, right: number) => boolean): CompileOperator {
  return (context, path, operand) => {
    const expected = 'a number, an ISO timestamp such as "2030-01-31T12:00:00Z", or { path: data.other }'
    const right = readOperand(context, path, operand, comparable, expected)
    if (right === undefined) return undefined
    if (right.kind === 'field') {
      const { read } = right
      return (value, scope) => {
        const other = read(scope)
        const [left, against] = [comparable(value), comparable(other)]
        return typeof value === typeof other && left !== undefined && against !== undefined && holds(left, against)
      }
    }
    const bound = right.value
    if (typeof operand === 'number') return value => typeof value === 'number' && holds(value, bound)
    return value => {
      const instant = typeof value === 'string' ? isoInstant(value) : undefined
      return instant !== undefined && holds(instant, bound)
    }
  }
}

function comparable(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isNaN(value) ? undefined : value
  return typeof value === 'string' ? isoInstant(value) : undefined
}

function textOperator(name: string, holds: (text: string, operand: string) => boolean): CompileOperator {
  return (context, path, operand) => {
    const right = readOperand(
      context,
      path,
      operand,
      value => (typeof value === 'string' && value !== '' ? value : undefined),
      `a ${name} of at least one character, or { path: data.other }`,
    )
    if (right === undefined) return undefined
    if (right.kind === 'constant') {
      const bound = right.value
      return value => typeof value === 'string' && holds(value, bound)
    }
    const { read } = right
    return (value, scope) => {
      const other = read(scope)
      return typeof value === 'string' && typeof other === 'string' && holds(value, other)
    }
  }
}

function compileContains(context: TemplateContext, path: ValuePath, operand: unknown): ValueTest | undefined {
  const right = readOperand(
    context,
    path,
    operand,
    value => (isScalar(value) ? { scalar: value } : undefined),
    'a text, a number, true, false, null, or { path: data.other }',
  )
  if (right === undefined) return undefined
  if (right.kind === 'constant') {
    const { scalar } = right.value
    return value => contains(value, scalar)
  }
  const { read } = right
  return (value, scope) => {
    const member = read(scope)
    return member !== undefined && contains(value, member)
  }
}

/** Part of a text, or a member of a list. */
function contains(value: unknown, member: unknown): boolean {
  if (typeof value === 'string') return typeof member === 'string' && value.includes(member)
  return Array.isArray(value) && isScalar(member) && value.includes(member)
}

function compileMatches(context: TemplateContext, path: ValuePath, operand: unknown): ValueTest | undefined {
  const { report } = context
  if (!report.document.isSound(path)) return undefined
  if (typeof operand !== 'string') {
    report.at(path, 'when-condition', '`matches` takes a regular expression as text')
    return undefined
  }
  const pattern = compilePattern(report, path, operand)
  return pattern === undefined ? undefined : value => typeof value === 'string' && pattern(value)
}

function compileExists(context: TemplateContext, path: ValuePath, operand: unknown): ValueTest | undefined {
  if (!context.report.document.isSound(path)) return undefined
  if (typeof operand !== 'boolean') {
    context.report.at(path, 'when-condition', '`exists` takes true or false')
    return undefined
  }
  return operand ? value => value !== undefined : value => value === undefined
}

function refusesTemplate(context: TemplateContext, path: ValuePath, value: unknown): boolean {
  if (typeof value !== 'string' || !value.includes('{{')) return false
  context.report.at(path, 'when-condition', 'A condition does not render templates', 'Compare two fields with { gt: { path: data.min } }')
  return true
}

function isScalar(value: unknown): value is string | number | boolean | null {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}
