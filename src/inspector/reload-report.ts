import { formatPretty } from '../diagnostics/format-pretty.ts'
import type { Problem } from '../diagnostics/problem.ts'

/** How a change on disk ended, as the runtime tells it. */
export type InspectorReload =
  | {
      readonly kind: 'applied'
      readonly generation: number
      /** One line for each thing that changed. */
      readonly summary: readonly string[]
      readonly problems: readonly Problem[]
      /** Texts of the files, for code frames. */
      readonly sources: ReadonlyMap<string, string>
    }
  | { readonly kind: 'rejected'; readonly problems: readonly Problem[]; readonly sources: ReadonlyMap<string, string> }
  | { readonly kind: 'unchanged' }

/** The same, ready for the page. */
export interface ReloadReport {
  readonly kind: 'applied' | 'rejected'
  /** Epoch milliseconds. */
  readonly at: number
  readonly summary: readonly string[]
  /** All problems with their code frames, as `router validate` prints them; empty where there are none. */
  readonly problems: string
}

/** Undefined where there is nothing to tell. */
export function reportReload(reload: InspectorReload, at: number): ReloadReport | undefined {
  if (reload.kind === 'unchanged') return undefined
  const { problems, sources } = reload
  return {
    kind: reload.kind,
    at,
    summary: reload.kind === 'applied' ? reload.summary : [],
    problems: problems.length === 0 ? '' : formatPretty(problems, sources, { color: false }),
  }
}
