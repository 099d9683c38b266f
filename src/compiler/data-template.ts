import type { ValuePath } from '../config/source-document.ts'
import type { DataSource } from './action-type.ts'
import { checkScalars } from './field-checks.ts'
import { type Scope, type Template, TemplateError } from './scope.ts'
import type { TemplateContext } from './template-context.ts'
import { type CompiledPart, type CompiledTemplate, compileTemplate } from './template-expression.ts'
import { kindOf } from './template-helpers.ts'
import { hasTemplate } from './template-syntax.ts'
import { UnknownValue } from './unknown-value.ts'

/**
 * Compiles structured data with templated leaves. A leaf that is one lone value keeps its type; without it, it is left out of a
 * map and null in a list. Parts without templates are built once, frozen and shared by all messages. Undefined after reporting.
 */
export function compileData(context: TemplateContext, path: ValuePath, value: unknown): DataSource | undefined {
  const node = compileNode(context, path, value, true)
  if (node === undefined) return undefined
  if (node.kind === 'constant') {
    const constant = node.value
    return { render: () => constant, canFail: false, constant: true }
  }
  return { render: node.render, canFail: node.canFail, constant: false }
}

type DataNode =
  | { readonly kind: 'constant'; readonly value: unknown }
  | { readonly kind: 'templated'; readonly render: Template<unknown>; readonly canFail: boolean }

function compileNode(context: TemplateContext, path: ValuePath, value: unknown, isRoot: boolean): DataNode | undefined {
  if (typeof value === 'string') return hasTemplate(value) ? compileLeaf(context, path, value, isRoot) : { kind: 'constant', value }
  if (Array.isArray(value)) return compileList(context, path, value)
  if (typeof value === 'object' && value !== null) return compileMap(context, path, Object.entries(value))
  return { kind: 'constant', value }
}

function compileList(context: TemplateContext, path: ValuePath, list: readonly unknown[]): DataNode | undefined {
  const nodes: DataNode[] = []
  for (const [index, element] of list.entries()) {
    const node = compileNode(context, [...path, index], element, false)
    if (node !== undefined) nodes.push(node)
  }
  if (nodes.length !== list.length) return undefined
  if (nodes.every(node => node.kind === 'constant')) return { kind: 'constant', value: Object.freeze(nodes.map(node => node.value)) }
  const renders = nodes.map(renderOf)
  return { kind: 'templated', canFail: nodes.some(canFail), render: scope => renders.map(render => render(scope) ?? null) }
}

function compileMap(context: TemplateContext, path: ValuePath, entries: readonly (readonly [string, unknown])[]): DataNode | undefined {
  const nodes: [string, DataNode][] = []
  for (const [key, value] of entries) {
    const node = compileNode(context, [...path, key], value, false)
    if (hasTemplate(key))
      context.report.atKey(
        [...path, key],
        'template-syntax',
        'A key of data cannot be a template',
        'Put the template into the value, or build the data in a handler',
      )
    else if (node !== undefined) nodes.push([key, node])
  }
  if (nodes.length !== entries.length) return undefined
  if (nodes.every(([, node]) => node.kind === 'constant')) {
    const constant = {}
    for (const [key, node] of nodes) setOwn(constant, key, node.kind === 'constant' ? node.value : undefined)
    return { kind: 'constant', value: Object.freeze(constant) }
  }
  const fields = nodes.map(([key, node]) => ({ key, render: renderOf(node) }))
  return { kind: 'templated', canFail: nodes.some(([, node]) => canFail(node)), render: scope => renderMap(fields, scope) }
}

function renderMap(fields: readonly { readonly key: string; readonly render: Template<unknown> }[], scope: Scope): unknown {
  const map = {}
  for (const { key, render } of fields) {
    const value = render(scope)
    if (value !== undefined) setOwn(map, key, value)
  }
  return map
}

/** A key named `__proto__` is a key like any other, not the object's prototype. */
function setOwn(map: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true })
  else map[key] = value
}

function compileLeaf(context: TemplateContext, path: ValuePath, text: string, isRoot: boolean): DataNode | undefined {
  const template = compileTemplate(context, path, text)
  if (template === undefined) return undefined
  const [only, ...others] = template.parts
  if (only?.kind === 'value' && others.length === 0) {
    if (!only.isWholeData || isRoot) return { kind: 'templated', render: only.read, canFail: only.canFail }
    return { kind: 'templated', render: scope => refuseBytes(only.read(scope), text), canFail: true }
  }
  checkScalars(context, path, template, { noun: 'a text', mayBeMissing: false })
  if (template.parts.every(part => part.kind === 'text')) return { kind: 'constant', value: template.parts.map(part => part.text).join('') }
  return {
    kind: 'templated',
    render: compileText(template),
    canFail: template.parts.some(part => part.kind === 'value' && (part.canFail || !part.alwaysScalar)),
  }
}

/** Bytes can be a message's whole data; inside other data they would be spelled out number by number. */
function refuseBytes(value: unknown, template: string): unknown {
  if (value instanceof Uint8Array) throw new TemplateError('data is binary and cannot stand inside other data', template)
  return value
}

function compileText(template: CompiledTemplate): Template<string> {
  const { parts, text } = template
  return scope => {
    let rendered = ''
    for (const part of parts) rendered += part.kind === 'text' ? part.text : insert(part, part.read(scope), text)
    return rendered
  }
}

function insert(part: CompiledPart, value: unknown, template: string): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value)
  if (value instanceof UnknownValue) return value.toString()
  const hint = value === undefined || value === null ? `: use {{default ${part.text} "..."}}` : ''
  throw new TemplateError(`${part.text} is ${kindOf(value)}${hint}`, template)
}

function renderOf(node: DataNode): Template<unknown> {
  if (node.kind === 'templated') return node.render
  const { value } = node
  return () => value
}

function canFail(node: DataNode): boolean {
  return node.kind === 'templated' && node.canFail
}
