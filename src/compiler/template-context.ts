import { didYouMean } from '../config/did-you-mean.ts'
import type { ValuePath } from '../config/source-document.ts'
import type { DocumentReport } from './document-report.ts'
import { type FieldPath, rootedPath, splitPath, type WrittenPath } from './field-path.ts'
import { scopeRoots } from './scope.ts'

/** What paths may read where they stand, and where their problems go. */
export interface TemplateContext {
  readonly report: DocumentReport
  /** Names under which earlier actions of the route keep their results. */
  readonly results: readonly string[]
  /** True inside `forEach`: `item` can be read. */
  readonly item: boolean
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
  return path
}

function report(
  context: TemplateContext,
  place: PathPlace,
  length: number,
  code: 'template-root' | 'template-syntax' | 'results-unknown',
  message: string,
  hint: string,
): void {
  if (place.kind === 'key') context.report.atKey(place.path, code, message, hint)
  else context.report.inText(place.path, place.index, length, code, message, hint)
}
