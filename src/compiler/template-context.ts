import { didYouMean } from '../config/did-you-mean.ts'
import type { ValuePath } from '../config/source-document.ts'
import type { Severity } from '../diagnostics/problem.ts'
import type { DocumentReport } from './document-report.ts'
import { type FieldPath, rootedPath, splitPath, type WrittenPath } from './field-path.ts'
import type { SchemaView } from './schema-view.ts'
import { scopeRoots } from './scope.ts'

/** What paths may read where they stand, and where their problems go. */
export interface TemplateContext {
  readonly report: DocumentReport
  /** Names under which earlier actions of the route keep their results. */
  readonly results: readonly string[]
  /** True inside `forEach`: `item` can be read. */
  readonly item: boolean
  /** What the JSON Schema of the route's events says of the fields below `data`, and of the elements of `forEach`. */
  readonly schemas?: { readonly data?: SchemaView | undefined; readonly item?: SchemaView | undefined }
  /** Paths that a `when` has made sure of. */
  readonly present?: ReadonlySet<string>
}

/** Where a path stands: inside a text, or in a map's key (`when`). */
export type PathPlace =
  | { readonly kind: 'text'; readonly path: ValuePath; readonly index: number }
  | { readonly kind: 'key'; readonly path: ValuePath }

/** Reads a path as `when`, `forEach` and `{ path: ... }` have it. Undefined after reporting. */
export function readFieldPath(context: TemplateContext, place: PathPlace, text: string): FieldPath | undefined {
  const written = splitPath(text)
  if (written !== undefined) return resolvePath(context, place, written)
  const hint = text.includes('{{')
    ? 'Write the path alone, without {{ }}: data.total'
    : 'Write names joined with dots: data.total, data.items.0.sku, data.[odd key]'
  report(context, place, text.length, 'template-syntax', `\`${text.length > 60 ? `${text.slice(0, 60)}…` : text}\` is not a path`, hint)
  return undefined
}

/** Checks that a path starts with a root that can be read here, and that results exist by then. Undefined after reporting. */
export function resolvePath(context: TemplateContext, place: PathPlace, written: WrittenPath): FieldPath | undefined {
  const path = rootedPath(written)
  const [first = '', second] = written.parts
  if (path === undefined) {
    const roots = context.item ? scopeRoots : scopeRoots.filter(root => root !== 'item')
    const near = didYouMean(first, roots)
    const hint =
      near === undefined
        ? `A field of the event's data is read as data.${written.text}; roots are ${roots.join(', ')}`
        : `Did you mean \`${near}\`?`
    report(context, place, first.length, 'template-root', `\`${first}\` is not a root`, hint)
    return undefined
  }
  if (path.root === 'item' && !context.item) {
    report(
      context,
      place,
      first.length,
      'template-root',
      '`item` can be read only in an action with `forEach`',
      'Add forEach: data.some_list beside the action',
    )
    return undefined
  }
  if (path.root === 'results' && second !== undefined && !context.results.includes(second)) {
    const near = didYouMean(second, context.results)
    const known =
      context.results.length === 0 ? 'No action before this one has `as`' : `Results kept before this action: ${context.results.join(', ')}`
    const hint =
      near === undefined ? `${known}; add \`as: ${second}\` to an earlier action of the route` : `Did you mean \`results.${near}\`?`
    report(
      context,
      place,
      written.text.length,
      'results-unknown',
      `No earlier action of this route keeps its result as \`${second}\``,
      hint,
    )
    return undefined
  }
  checkDeclared(context, place, path)
  return path
}

/** The event's schema says that a path leads nowhere: most likely it is misspelt. */
function checkDeclared(context: TemplateContext, place: PathPlace, path: FieldPath): void {
  const view = schemaOf(context, path)
  const facts = view?.facts(path.segments)
  if (view === undefined || facts?.kind !== 'undeclared') return
  const { depth, declared, isImpossible } = facts
  const parent = [path.root, ...path.segments.slice(0, depth)].join('.')
  const name = path.segments[depth] ?? ''
  const near = didYouMean(name, declared)
  const known = declared.length === 0 ? `\`${parent}\` has no fields` : `\`${parent}\` has ${listed(declared)}`
  const hint = near === undefined ? known : `Did you mean \`${[parent, near, ...path.segments.slice(depth + 1)].join('.')}\`?`
  const message = `${view.file} declares no \`${[parent, name].join('.')}\``
  report(context, place, path.text.length, 'field-undeclared', message, hint, isImpossible ? 'error' : 'warning')
}

/** What is known of the value that a path leads to; undefined where no schema says anything. */
export function schemaOf(context: TemplateContext, { root, segments }: FieldPath): SchemaView | undefined {
  if (root === 'item') return context.schemas?.item
  return root === 'data' && segments.length > 0 ? context.schemas?.data : undefined
}

const mostListed = 8

function listed(names: readonly string[]): string {
  return `${names.slice(0, mostListed).join(', ')}${names.length > mostListed ? ', …' : ''}`
}

function report(
  context: TemplateContext,
  place: PathPlace,
  length: number,
  code: 'template-root' | 'template-syntax' | 'results-unknown' | 'field-undeclared',
  message: string,
  hint: string,
  severity: Severity = 'error',
): void {
  if (place.kind === 'key') context.report.atKey(place.path, code, message, hint, severity)
  else context.report.inText(place.path, place.index, length, code, message, hint, severity)
}
