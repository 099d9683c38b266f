import type { ValuePath } from '../config/source-document.ts'
import type { FieldFacts } from './schema-view.ts'
import { schemaOf, type TemplateContext } from './template-context.ts'
import type { CompiledTemplate } from './template-expression.ts'

/** A place where a value becomes part of a text. */
export interface ScalarUse {
  /** With its article: `a channel name`. */
  readonly noun: string
  /** Without a value the whole place is left out, and that is fine. */
  readonly mayBeMissing: boolean
}

/** A value that becomes part of a text must be there and be a scalar in every event that its schema allows. */
export function checkScalars(context: TemplateContext, place: ValuePath, template: CompiledTemplate, use: ScalarUse): void {
  for (const part of template.parts) {
    if (part.kind !== 'value' || part.path === undefined) continue
    const { path } = part
    const view = schemaOf(context, path)
    const facts = view?.facts(path.segments)
    if (view === undefined || facts?.kind !== 'declared') continue
    const fault =
      typeFault(facts, path.text, use, view.file) ??
      (isSure(context, path.text, facts, use) ? undefined : absence(facts, path.text, use, view.file))
    if (fault !== undefined)
      context.report.inText(
        place,
        part.index,
        path.text.length,
        fault.code,
        fault.message,
        fault.hint,
        fault.code === 'field-type' ? 'error' : 'warning',
      )
  }
}

type Declared = Extract<FieldFacts, { kind: 'declared' }>

interface Fault {
  readonly code: 'field-optional' | 'field-type'
  readonly message: string
  readonly hint: string
}

const scalarTypes = ['string', 'number', 'integer', 'boolean']

function typeFault({ types }: Declared, path: string, use: ScalarUse, file: string): Fault | undefined {
  if (types === undefined || scalarTypes.some(type => types.has(type))) return undefined
  const is = [...types].map(type => kinds[type] ?? type).join(' or ')
  const message = `\`${path}\` is ${is} in ${file}: ${use.noun} takes a text, a number or a boolean`
  return { code: 'field-type', message, hint: 'Name a field of it, or render it with {{json ...}} where any character is allowed' }
}

const kinds: Readonly<Record<string, string>> = { object: 'an object', array: 'a list', null: 'null' }

function isSure(context: TemplateContext, path: string, { isRequired, types }: Declared, { mayBeMissing }: ScalarUse): boolean {
  return mayBeMissing || context.present?.has(path) === true || (isRequired && types?.has('null') !== true)
}

function absence({ isRequired }: Declared, path: string, use: ScalarUse, file: string): Fault {
  const message = `\`${path}\` may be ${isRequired ? 'null' : 'missing'}, and ${use.noun} needs it: that message would be dead-lettered`
  const hint = isRequired
    ? `Take null from its types in ${file}, or write when: { ${path}: { not: null } }`
    : `Add it to \`required\` in ${file}, or write when: { ${path}: { exists: true } }`
  return { code: 'field-optional', message, hint }
}
