import type { ValuePath } from '../config/source-document.ts'
import type { NameSource } from './action-type.ts'
import { checkScalars } from './field-checks.ts'
import { firstIllegal, type NameRules, nameRules, showCharacter, topicNameFault } from './name-place.ts'
import type { NamePlace } from './plan.ts'
import { type Template, TemplateError } from './scope.ts'
import type { TemplateContext } from './template-context.ts'
import { type CompiledExpression, type CompiledTemplate, compileTemplate } from './template-expression.ts'
import { kindOf } from './template-helpers.ts'
import { UnknownValue } from './unknown-value.ts'

/** Compiles a name: fixed text is checked here, each inserted value when a message brings it. Undefined after reporting. */
export function compileName(context: TemplateContext, path: ValuePath, text: string, place: NamePlace): NameSource | undefined {
  const template = compileTemplate(context, path, text)
  if (template === undefined || !isFixedTextAllowed(context, path, template, place)) return undefined
  const [only] = template.parts
  if (template.parts.every(part => part.kind === 'text')) {
    const constant = template.parts.map(part => part.text).join('')
    return { text, render: () => constant, constant, lonePath: undefined }
  }
  const lonePath = template.parts.length === 1 && only?.kind === 'value' && only.path !== undefined ? only.read : undefined
  checkScalars(context, path, template, {
    noun: nameRules[place].noun,
    mayBeMissing: lonePath !== undefined && (place === 'key' || place === 'id'),
  })
  return { text, render: compileRender(template, place), constant: undefined, lonePath }
}

function isFixedTextAllowed(context: TemplateContext, path: ValuePath, template: CompiledTemplate, place: NamePlace): boolean {
  const rules = nameRules[place]
  const { report } = context
  for (const part of template.parts) {
    if (part.kind !== 'text') continue
    const illegal = firstIllegal(part.text, rules.fixed)
    if (illegal === -1) continue
    report.inText(
      path,
      part.index + illegal,
      1,
      'template-name',
      `${capitalised(rules.noun)} does not allow ${showCharacter(part.text, illegal)}`,
      `${capitalised(rules.noun)} takes ${rules.allowed}`,
    )
    return false
  }
  const fixed = template.parts.map(part => (part.kind === 'text' ? part.text : '')).join('')
  const isConstant = template.parts.every(part => part.kind === 'text')
  const fault =
    fixed.length > rules.maxLength
      ? `${capitalised(rules.noun)} has at most ${rules.maxLength} characters, this one has ${fixed.length}`
      : isConstant && fixed === ''
        ? `${capitalised(rules.noun)} may not be empty`
        : isConstant && place === 'topic'
          ? topicNameFault(fixed)
          : undefined
  if (fault !== undefined) report.at(path, 'template-name', fault)
  return fault === undefined
}

/** A place where a value goes into a name. */
interface Slot {
  readonly read: Template<unknown>
  readonly text: string
  readonly template: string
  readonly rules: NameRules
}

function compileRender(template: CompiledTemplate, place: NamePlace): Template<string> {
  const rules = nameRules[place]
  const joined = compileJoin(template, rules)
  const { maxLength } = rules
  const { text } = template
  if (place === 'topic') {
    return scope => {
      const name = joined(scope)
      const fault = topicNameFault(name)
      // No value may bring a `<`: it stands for one that is not known yet.
      if (fault !== undefined && !name.includes('<')) throw new TemplateError(fault, text)
      return name
    }
  }
  if (maxLength === Number.POSITIVE_INFINITY) return joined
  return scope => {
    const name = joined(scope)
    if (name.length > maxLength)
      throw new TemplateError(`${rules.noun} has at most ${maxLength} characters, this one has ${name.length}`, text)
    return name
  }
}

/** The common shapes have a closure of their own: looping over parts costs twice as much. */
function compileJoin(template: CompiledTemplate, rules: NameRules): Template<string> {
  const slotOf = (expression: CompiledExpression): Slot => ({
    read: expression.read,
    text: expression.text,
    template: template.text,
    rules,
  })
  const [first, second, third, ...more] = template.parts
  if (first?.kind === 'value' && second === undefined) {
    const slot = slotOf(first)
    return scope => insert(slot, slot.read(scope))
  }
  if (first?.kind === 'text' && second?.kind === 'value' && third === undefined) {
    const before = first.text
    const slot = slotOf(second)
    return scope => before + insert(slot, slot.read(scope))
  }
  if (first?.kind === 'value' && second?.kind === 'text' && third === undefined) {
    const slot = slotOf(first)
    const after = second.text
    return scope => insert(slot, slot.read(scope)) + after
  }
  if (first?.kind === 'text' && second?.kind === 'value' && third?.kind === 'text' && more.length === 0) {
    const before = first.text
    const slot = slotOf(second)
    const after = third.text
    return scope => before + insert(slot, slot.read(scope)) + after
  }
  const parts = template.parts.map(part => (part.kind === 'text' ? part.text : slotOf(part)))
  return scope => {
    let name = ''
    for (const part of parts) name += typeof part === 'string' ? part : insert(part, part.read(scope))
    return name
  }
}

function insert(slot: Slot, value: unknown): string {
  if (typeof value === 'string') {
    if (value.length !== 0 && firstIllegal(value, slot.rules.inserted) === -1)
      return slot.rules.encode === undefined ? value : encoded(slot, slot.rules.encode, value)
  } else if (typeof value === 'number') {
    const text = String(value)
    if (Number.isFinite(value) && firstIllegal(text, slot.rules.inserted) === -1) return text
  } else if (typeof value === 'boolean') {
    return value ? 'true' : 'false'
  } else if (value instanceof UnknownValue) {
    return value.toString()
  }
  throw new TemplateError(whyNot(slot, value), slot.template)
}

function encoded(slot: Slot, encode: (text: string) => string, value: string): string {
  try {
    return encode(value)
  } catch {
    // A half of a surrogate pair is no text.
    throw new TemplateError(`${slot.text} is not well-formed text`, slot.template)
  }
}

function whyNot(slot: Slot, value: unknown): string {
  const isText = typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value))
  const illegal = isText ? firstIllegal(String(value), slot.rules.inserted) : -1
  if (illegal === -1) return `${slot.text} is ${kindOf(value)}`
  return `${slot.text} has ${showCharacter(String(value), illegal)} which ${slot.rules.noun} does not allow`
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
