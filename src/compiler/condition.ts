import type { ValuePath } from '../config/source-document.ts'
import { compileTest } from './condition-operators.ts'
import { compilePath, type FieldPath } from './field-path.ts'
import { flowYaml } from './flow-yaml.ts'
import { neverHolds } from './never-holds.ts'
import type { Condition, ConditionFailure, Scope } from './scope.ts'
import { isMap } from './source-section.ts'
import { readFieldPath, schemaOf, type TemplateContext } from './template-context.ts'

/**
 * Compiles `when`: every line must hold. A line is `all:` or `any:` (lists of conditions), `not:` (a condition), or a path with
 * what its value must be. Undefined after reporting.
 */
export function compileCondition(context: TemplateContext, path: ValuePath, value: unknown): Condition | undefined {
  if (!context.report.document.isSound(path) && !isMap(value)) return undefined
  if (!isMap(value)) {
    context.report.at(path, 'when-condition', 'A condition must be a map of paths', 'Write data.total: { gte: 100 }')
    return undefined
  }
  const keys = Object.keys(value)
  if (keys.length === 0) {
    context.report.at(path, 'when-condition', 'The condition is empty', 'Write a line such as data.status: paid, or remove it')
    return undefined
  }
  const lines: Condition[] = []
  for (const key of keys) {
    const line = compileLine(context, [...path, key], key, value[key])
    if (line !== undefined) lines.push(line)
  }
  return lines.length === keys.length ? every(lines) : undefined
}

function compileLine(context: TemplateContext, path: ValuePath, key: string, value: unknown): Condition | undefined {
  if (key === 'all' || key === 'any') return compileList(context, path, key, value)
  if (key === 'not') {
    const inner = compileCondition(context, path, value)
    if (inner === undefined) return undefined
    return explained(scope => !inner(scope), { line: `not: ${flowYaml(value)}`, path: undefined, seen: undefined })
  }
  const field = readFieldPath(context, { kind: 'key', path }, key)
  const test = compileTest(context, path, value)
  if (field === undefined || test === undefined) return undefined
  const read = compilePath(field)
  reportNeverHolds(context, path, field, value)
  const line = `${key}: ${flowYaml(value)}`
  const condition = (scope: Scope) => test(read(scope), scope)
  return Object.assign(condition, {
    failure: (scope: Scope) => (condition(scope) ? undefined : { line, path: field.text, seen: read(scope) }),
  })
}

function reportNeverHolds(context: TemplateContext, path: ValuePath, field: FieldPath, expected: unknown): void {
  const never = neverHolds(field.text, expected, schemaOf(context, field)?.facts(field.segments))
  if (never === undefined) return
  if (never.isContradiction) context.report.at(path, 'when-never', never.message, never.hint)
  else context.report.warn(path, 'when-never', never.message, never.hint)
}

function compileList(context: TemplateContext, path: ValuePath, key: 'all' | 'any', value: unknown): Condition | undefined {
  if (!Array.isArray(value) || value.length === 0) {
    if (context.report.document.isSound(path))
      context.report.at(
        path,
        'when-condition',
        `\`${key}\` takes a list of conditions`,
        `Write ${key}: [{ data.status: paid }, { data.total: { gte: 100 } }]`,
      )
    return undefined
  }
  const conditions: Condition[] = []
  for (const [index, element] of value.entries()) {
    const condition = compileCondition(context, [...path, index], element)
    if (condition !== undefined) conditions.push(condition)
  }
  if (conditions.length !== value.length) return undefined
  if (key === 'all') return every(conditions)
  const any = (scope: Scope) => conditions.some(condition => condition(scope))
  // A choice of one is that one: its failure says more.
  return conditions.length === 1 ? every(conditions) : explained(any, { line: `any: ${flowYaml(value)}`, path: undefined, seen: undefined })
}

function every(conditions: readonly Condition[]): Condition {
  const [first, second, ...more] = conditions
  if (first !== undefined && second === undefined) return first
  const both =
    first !== undefined && second !== undefined && more.length === 0 ? (scope: Scope) => first(scope) && second(scope) : undefined
  const all = both ?? ((scope: Scope) => conditions.every(condition => condition(scope)))
  return Object.assign(all, { failure: (scope: Scope) => conditions.find(condition => !condition(scope))?.failure?.(scope) })
}

function explained(condition: (scope: Scope) => boolean, failure: ConditionFailure): Condition {
  return Object.assign(condition, { failure: (scope: Scope) => (condition(scope) ? undefined : failure) })
}
