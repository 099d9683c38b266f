import type { ValuePath } from '../config/source-document.ts'
import { compileTest } from './condition-operators.ts'
import { compilePath } from './field-path.ts'
import type { Condition } from './scope.ts'
import { isMap } from './source-section.ts'
import { readFieldPath, type TemplateContext } from './template-context.ts'

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
    return inner === undefined ? undefined : scope => !inner(scope)
  }
  const field = readFieldPath(context, { kind: 'key', path }, key)
  const test = compileTest(context, path, value)
  if (field === undefined || test === undefined) return undefined
  const read = compilePath(field)
  return scope => test(read(scope), scope)
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
  return key === 'all' ? every(conditions) : scope => conditions.some(condition => condition(scope))
}

function every(conditions: readonly Condition[]): Condition {
  const [first, second, ...more] = conditions
  if (first !== undefined && second === undefined) return first
  if (first !== undefined && second !== undefined && more.length === 0) return scope => first(scope) && second(scope)
  return scope => conditions.every(condition => condition(scope))
}
