import { didYouMean } from '../config/did-you-mean.ts'
import type { ValuePath } from '../config/source-document.ts'
import { compilePath, type FieldPath } from './field-path.ts'
import type { Template } from './scope.ts'
import { resolvePath, type TemplateContext } from './template-context.ts'
import { type CompiledValue, findHelper, type HelperArgument, helperNames } from './template-helpers.ts'
import { type ParsedTemplate, parseTemplate, TemplateSyntaxError, type WrittenExpression } from './template-syntax.ts'

/** A template whose values are compiled and whose texts are as written. */
export interface CompiledTemplate {
  readonly text: string
  readonly parts: readonly CompiledPart[]
}

export type CompiledPart = { readonly kind: 'text'; readonly text: string; readonly index: number } | CompiledExpression

export interface CompiledExpression extends CompiledValue {
  readonly kind: 'value'
  /** As written: `data.user_id`, `lower data.name`. */
  readonly text: string
  /** A path and nothing else; undefined for a helper's call. */
  readonly path: FieldPath | undefined
  /** Where it starts in the template's text. */
  readonly index: number
  /** Always a text or a finite number, in every message. */
  readonly alwaysScalar: boolean
  /** The whole `data` of the message, which may be bytes. */
  readonly isWholeData: boolean
}

/** Parses and compiles the text at `path`. Undefined after reporting. */
export function compileTemplate(context: TemplateContext, path: ValuePath, text: string): CompiledTemplate | undefined {
  let parsed: ParsedTemplate
  try {
    parsed = parseTemplate(text)
  } catch (error) {
    if (!(error instanceof TemplateSyntaxError)) throw error
    context.report.inText(path, error.index, error.length, 'template-syntax', error.message, error.hint)
    return undefined
  }
  const parts: CompiledPart[] = []
  for (const part of parsed.parts) {
    const compiled = part.kind === 'text' ? part : compileExpression({ context, path, template: text }, part.expression)
    if (compiled !== undefined) parts.push(compiled)
  }
  return parts.length === parsed.parts.length ? { text, parts } : undefined
}

interface TemplatePlace {
  readonly context: TemplateContext
  readonly path: ValuePath
  readonly template: string
}

const alwaysScalarRoots: ReadonlySet<string> = new Set(['topic', 'partition', 'offset', 'timestamp'])

function compileExpression(place: TemplatePlace, written: WrittenExpression): CompiledExpression | undefined {
  if (written.kind === 'literal') return undefined
  if (written.kind === 'path' && (written.parts.length > 1 || findHelper(written.text) === undefined)) {
    const path = resolvePath(place.context, { kind: 'text', path: place.path, index: written.index }, written)
    if (path === undefined) return undefined
    const whole = path.segments.length === 0
    return {
      kind: 'value',
      text: written.text,
      read: compilePath(path),
      canFail: false,
      path,
      index: written.index,
      alwaysScalar: whole && alwaysScalarRoots.has(path.root),
      isWholeData: whole && path.root === 'data',
    }
  }
  const call = written.kind === 'path' ? { ...written, kind: 'call' as const, helper: written.text, args: [] } : written
  const value = compileCall(place, call)
  return value === undefined
    ? undefined
    : { kind: 'value', text: written.text, path: undefined, index: written.index, alwaysScalar: false, isWholeData: false, ...value }
}

function compileCall(place: TemplatePlace, call: WrittenExpression & { readonly kind: 'call' }): CompiledValue | undefined {
  const { report } = place.context
  const helper = findHelper(call.helper)
  if (helper === undefined) {
    const near = didYouMean(call.helper, helperNames)
    const hint = near === undefined ? `Helpers are ${helperNames.join(', ')}` : `Did you mean \`${near}\`?`
    report.inText(place.path, call.index, call.helper.length, 'template-syntax', `\`${call.helper}\` is not a helper`, hint)
    return undefined
  }
  if (call.args.length !== helper.arity) {
    const message = `${call.helper} takes ${helper.arity === 1 ? 'one value' : `${helper.arity} values`}, not ${call.args.length}`
    report.inText(place.path, call.index, call.text.length, 'template-syntax', message, `Write {{${helper.usage}}}`)
    return undefined
  }
  const args: HelperArgument[] = []
  for (const written of call.args) {
    const argument = compileArgument(place, written)
    if (argument !== undefined) args.push(argument)
  }
  if (args.length !== call.args.length) return undefined
  const compiled = helper.compile(args, place.template)
  if (typeof compiled !== 'string') return compiled
  report.inText(place.path, call.index, call.text.length, 'template-syntax', compiled, `Write {{${helper.usage}}}`)
  return undefined
}

function compileArgument(place: TemplatePlace, written: WrittenExpression): HelperArgument | undefined {
  if (written.kind === 'literal') {
    const { value, text } = written
    return { text, literal: value, canFail: false, read: constantly(value) }
  }
  const compiled = compileExpression(place, written)
  return compiled === undefined ? undefined : { text: compiled.text, read: compiled.read, canFail: compiled.canFail, literal: undefined }
}

function constantly(value: unknown): Template<unknown> {
  return () => value
}
