import { formatPretty } from '../diagnostics/format-pretty.ts'
import type { ReloadResult } from '../reload/reload-result.ts'

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
export function reportReload(reload: ReloadResult, at: number): ReloadReport | undefined {
  if (reload.kind === 'unchanged') return undefined
  const { problems, sources } = reload
  return {
    kind: reload.kind,
    at,
    summary: reload.kind === 'applied' ? reload.summary : [],
    problems: problems.length === 0 ? '' : formatPretty(problems, sources, { color: false }),
  }
}
