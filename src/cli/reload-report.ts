import { formatPretty } from '../diagnostics/format-pretty.ts'
import type { ReloadResult } from '../runtime/router-options.ts'

/** What a person in front of `router dev` wants to know about an edit; undefined where there is nothing to say. */
export function describeReload(result: ReloadResult, at: Date, options: { readonly color: boolean }): string | undefined {
  if (result.kind === 'unchanged') return undefined
  const time = at.toTimeString().slice(0, 8)
  const problems = formatPretty(result.problems, result.sources, options)
  const frames = problems === '' ? '' : `\n${problems}`
  if (result.kind === 'rejected') return `${time} not applied: the configuration before this edit goes on\n${frames}`
  const changes = result.summary.map(line => `  ${line}\n`).join('')
  return `${time} applied (generation ${result.generation})\n${changes}${frames}`
}
