import type { ErrorObject } from 'ajv/dist/2020.js'
import type { Problem, ProblemCode, SourceRange } from '../diagnostics/problem.ts'
import { didYouMean } from './did-you-mean.ts'
import type { OpenDocument } from './open-document.ts'
import { type SchemaName, schemaErrors } from './schema-validator.ts'
import { actualValue, expectedByKeyword, expectedTypes, orList } from './schema-words.ts'
import { problemAt, type ValuePath } from './source-document.ts'
import { describePath, fromPointer } from './value-path.ts'
import { mostProblems } from './yaml-budget.ts'

/** Checks a document against its schema: one problem for one mistake. Marks what is wrong in the document. */
export function checkSchema(open: OpenDocument, schema: SchemaName): readonly Problem[] {
  let errors = schemaErrors(schema, open.document.value)
  if (retypeReferences(open, errors)) errors = schemaErrors(schema, open.document.value)
  const report = new Report(open)
  for (const error of withoutEchoes(open, errors)) {
    if (report.problems.length === mostProblems) {
      report.giveUp()
      break
    }
    report.add(error)
  }
  report.finish()
  return report.problems
}

interface Failure {
  readonly error: ErrorObject
  readonly path: ValuePath
  readonly schema: Readonly<Record<string, unknown>>
}

/** A value that is one lone `${X}` arrives as text: where another type is asked for, it takes that. True if something changed. */
function retypeReferences(open: OpenDocument, errors: readonly ErrorObject[]): boolean {
  let changed = false
  for (const error of errors) {
    const path = pathOf(open, error.instancePath)
    if (error.keyword !== 'type' || typeof error.data !== 'string' || !open.isLoneReference(path)) continue
    const wanted = [error.params['type']].flat()
    const number = /^[-+]?\d+(\.\d+)?$/.test(error.data) ? Number(error.data) : undefined
    if (number !== undefined && (wanted.includes('number') || (wanted.includes('integer') && Number.isInteger(number))))
      open.retype(path, number)
    else if (wanted.includes('boolean') && (error.data === 'true' || error.data === 'false')) open.retype(path, error.data === 'true')
    else continue
    changed = true
  }
  return changed
}

/**
 * Leaves out what the validator says besides the mistake itself: branches of `oneOf`, `if`, the inner error of a property name, everything at a value
 * that is known to be broken, and keys that only seem missing because they are misspelt.
 */
function withoutEchoes(open: OpenDocument, errors: readonly ErrorObject[]): readonly Failure[] {
  const failures: Failure[] = []
  const unknownKeys = new Map<string, string[]>()
  for (const error of errors) {
    if (error.keyword === 'if' || error.propertyName !== undefined || /\/(oneOf|anyOf)\/\d+\//.test(error.schemaPath)) continue
    const path = pathOf(open, error.instancePath)
    if (open.isBroken(path)) continue
    if (error.keyword === 'additionalProperties') {
      const keys = unknownKeys.get(error.instancePath) ?? []
      unknownKeys.set(error.instancePath, keys)
      if (keys.length < mostProblems) keys.push(String(error.params['additionalProperty']))
    }
    failures.push({ error, path, schema: isRecord(error.parentSchema) ? error.parentSchema : {} })
  }
  const seen = new Set<string>()
  return failures.filter(({ error }) => {
    const unknown = unknownKeys.get(error.instancePath) ?? []
    if (error.keyword === 'oneOf' || error.keyword === 'anyOf') return unknown.length === 0
    if (error.keyword === 'required') return didYouMean(String(error.params['missingProperty']), unknown) === undefined
    if (error.keyword === 'additionalProperties' || error.keyword === 'propertyNames' || error.keyword === 'dependentRequired') return true
    if (seen.has(error.instancePath)) return false
    seen.add(error.instancePath)
    return true
  })
}

interface Finding {
  readonly path: ValuePath
  readonly problem: Problem
}

class Report {
  readonly problems: Problem[] = []
  private readonly open: OpenDocument
  private readonly wrong: ValuePath[] = []

  constructor(open: OpenDocument) {
    this.open = open
  }

  /** Marked only now, so that one problem does not silence the next. */
  finish(): void {
    for (const path of this.wrong) this.open.markUnsound(path)
  }

  giveUp(): void {
    const message = `The file has more than ${mostProblems} problems: the others are not shown`
    this.problems.push(problemAt(this.open.document, [], 'too-many-problems', message, { hint: 'Correct these first' }))
  }

  add(failure: Failure): void {
    const { path, problem } = this.finding(failure)
    this.wrong.push(path)
    const same = (other: Problem) => other.message === problem.message && samePlace(other.range, problem.range)
    // A value behind an anchor is checked wherever it is used, and wrong only once.
    if (!this.problems.some(same)) this.problems.push(problem)
  }

  private finding(failure: Failure): Finding {
    const { error } = failure
    switch (error.keyword) {
      case 'additionalProperties':
        return this.unknownKey(failure, String(error.params['additionalProperty']))
      case 'propertyNames':
        return this.badName(failure, String(error.params['propertyName']))
      case 'required':
        return this.missingKey(failure, String(error.params['missingProperty']))
      case 'dependentRequired':
        return this.lonelyKey(failure, String(error.params['property']), String(error.params['missingProperty']))
      case 'oneOf':
      case 'anyOf':
        return this.alternatives(failure, error.params['passingSchemas'])
      case 'enum':
        return this.notAllowed(failure)
      default:
        return this.wrongValue(failure)
    }
  }

  private unknownKey({ path, schema }: Failure, key: string): Finding {
    const at = [...path, key]
    const range = this.open.document.keyRangeOf(at)
    const reason =
      isRecord(schema['x-unsupported']) && Object.hasOwn(schema['x-unsupported'], key) ? schema['x-unsupported'][key] : undefined
    if (typeof reason === 'string') {
      return this.at(at, 'schema-unsupported', `\`${key}\` cannot be set: ${reason}`, 'Remove it', range)
    }
    const known = isRecord(schema['properties']) ? Object.keys(schema['properties']) : []
    const meant = didYouMean(key, known)
    const hint = key.startsWith('x-')
      ? 'Keys that start with `x-` stand only at the top of a route file'
      : `${meant === undefined ? '' : `Did you mean \`${meant}\`? `}Keys here: ${known.join(', ')}`
    return this.at(at, 'schema-unknown-key', `\`${clip(key)}\` is no key of ${titleOf(schema)}`, hint, range)
  }

  private badName({ path, schema }: Failure, name: string): Finding {
    const at = [...path, name]
    const expected = schema['x-expects-name']
    const message = `\`${clip(name)}\` cannot be a name here`
    return this.at(at, 'schema-value', message, typeof expected === 'string' ? expected : undefined, this.open.document.keyRangeOf(at))
  }

  private missingKey({ path, schema }: Failure, key: string): Finding {
    const range = path.length === 0 ? undefined : this.open.document.keyRangeOf(path)
    return this.at([...path, key], 'schema-missing-key', `${capital(titleOf(schema))} needs \`${key}\``, exampleOf(schema, key), range)
  }

  private lonelyKey({ path, schema }: Failure, key: string, companion: string): Finding {
    const at = [...path, key]
    const message = `\`${key}\` belongs beside \`${companion}\` only`
    return this.at(
      at,
      'schema-unknown-key',
      message,
      `Remove it: ${titleOf(schema)} without \`${companion}\` has no use for it`,
      this.open.document.keyRangeOf(at),
    )
  }

  private alternatives({ error, path, schema }: Failure, passing: unknown): Finding {
    const keys = alternativesOf(schema[error.keyword])
    const { document } = this.open
    const list = orList(keys.map(key => `\`${key}\``))
    if (!Array.isArray(passing)) {
      const range = path.length === 0 ? undefined : document.keyRangeOf(path)
      return this.at([...path, keys[0] ?? ''], 'schema-missing-key', `${capital(titleOf(schema))} needs ${list}`, undefined, range)
    }
    const present = keys.filter(key => this.open.entryAt([...path, key]) !== undefined)
    const at = [...path, present[1] ?? '']
    const message = `${capital(titleOf(schema))} holds both \`${present[0]}\` and \`${present[1]}\``
    return this.at(at, 'schema-value', message, `Keep one of ${list}`, document.keyRangeOf(at))
  }

  private notAllowed({ error, path }: Failure): Finding {
    const allowed = [error.params['allowedValues']].flat().map(String)
    const name = describePath(path)
    const meant = this.nearest(error, path, allowed)
    const message = `\`${name}\` must be ${orList(allowed)}, not ${actualValue(this.open, path)}`
    return this.at(path, 'schema-value', message, meant === undefined ? undefined : `Did you mean \`${meant}\`?`)
  }

  private wrongValue({ error, path, schema }: Failure): Finding {
    const expects = schema['x-expects']
    const isType = error.keyword === 'type'
    const expected = typeof expects === 'string' ? expects : isType ? expectedTypes(error.params['type'], schema) : expectedByKeyword(error)
    const subject = path.length === 0 ? 'The file' : `\`${describePath(path)}\``
    const isEmpty = error.keyword === 'minLength' || error.keyword === 'minItems' || error.keyword === 'minProperties'
    const message = isEmpty ? `${subject} must not be empty` : `${subject} must be ${expected}, not ${actualValue(this.open, path)}`
    return this.at(path, isType ? 'schema-type' : 'schema-value', message, this.valueHint(error, path, schema))
  }

  private valueHint(error: ErrorObject, path: ValuePath, schema: Failure['schema']): string | undefined {
    const comment = this.commentBehind(path)
    if (comment !== undefined) return `YAML reads \`${comment}\` as a comment: quote it`
    const types = [schema['type']].flat()
    const spoken = typeof error.data === 'string' && types[0] === 'boolean' ? spokenBooleans.get(error.data.toLowerCase()) : undefined
    if (spoken !== undefined) return `Write \`${spoken}\``
    const values = [schema['x-values']].flat().filter(value => typeof value === 'string')
    const meant = this.nearest(error, path, values)
    if (meant !== undefined) return `Did you mean \`${meant}\`?`
    if (typeof error.data === 'number' && String(schema['format']).endsWith('duration'))
      return `Write a unit: \`${error.data}ms\` or \`${error.data}s\``
    if (typeof error.data === 'number' && String(schema['format']).endsWith('-size'))
      return `Write a unit: \`${error.data}b\` or \`${error.data}kb\``
    if (typeof error.data === 'number' || typeof error.data === 'boolean')
      return types.includes('string') ? 'Quote it if you mean text' : undefined
    if (typeof error.data === 'string' && types.length === 1 && types[0] === 'array') return 'Write a list: `[…]`, or one `- …` a line'
    return undefined
  }

  /** Nothing for a value of the environment: what it is near to would say what it is. */
  private nearest(error: ErrorObject, path: ValuePath, words: readonly string[]): string | undefined {
    return typeof error.data === 'string' && !this.open.isFromEnvironment(path) ? didYouMean(error.data, words) : undefined
  }

  /** An empty value with text behind a `#`: a channel such as `#x` was meant. */
  private commentBehind(path: ValuePath): string | undefined {
    const node = this.open.nodeAt(path)
    if (node?.kind !== 'scalar' || node.start !== node.end) return undefined
    return /^[ \t]+(#[^\s]{1,100})/.exec(this.open.document.text.slice(node.end, node.end + 200))?.[1]
  }

  private at(path: ValuePath, code: ProblemCode, message: string, hint?: string, range?: SourceRange): Finding {
    const details = { ...(hint === undefined ? {} : { hint }), ...(range === undefined ? {} : { range }) }
    return { path, problem: problemAt(this.open.document, path, code, message, details) }
  }
}

function samePlace(a: SourceRange | undefined, b: SourceRange | undefined): boolean {
  return a?.start.line === b?.start.line && a?.start.column === b?.start.column
}

/** Booleans of older YAML, which are text since YAML 1.2. */
const spokenBooleans: ReadonlyMap<string, string> = new Map([
  ['yes', 'true'],
  ['on', 'true'],
  ['y', 'true'],
  ['no', 'false'],
  ['off', 'false'],
  ['n', 'false'],
])

function pathOf(open: OpenDocument, pointer: string): ValuePath {
  const path: (string | number)[] = []
  let value = open.document.value
  for (const part of fromPointer(pointer)) {
    path.push(Array.isArray(value) ? Number(part) : part)
    value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined
  }
  return path
}

function alternativesOf(branches: unknown): string[] {
  const keys: string[] = []
  for (const branch of Array.isArray(branches) ? branches : []) {
    const required: unknown = isRecord(branch) ? branch['required'] : undefined
    if (Array.isArray(required)) keys.push(...required.filter(key => typeof key === 'string'))
  }
  return keys
}

function titleOf(schema: Failure['schema']): string {
  return typeof schema['title'] === 'string' ? schema['title'] : 'this map'
}

function exampleOf(schema: Failure['schema'], key: string): string | undefined {
  const property = isRecord(schema['properties']) ? schema['properties'][key] : undefined
  const examples = isRecord(property) ? property['examples'] : undefined
  return Array.isArray(examples) && typeof examples[0] === 'string' ? `Write for example \`${key}: ${examples[0]}\`` : undefined
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
