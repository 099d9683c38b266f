import type { Problem } from '../diagnostics/problem.ts'

/** How a change on disk ended. */
export type ReloadResult =
  | {
      readonly kind: 'applied'
      readonly generation: number
      /** The change in words, one line each. */
      readonly summary: readonly string[]
      /** Warnings. */
      readonly problems: readonly Problem[]
      readonly sources: ReadonlyMap<string, string>
    }
  /** Nothing of the edit is at work: the configuration before it goes on. */
  | { readonly kind: 'rejected'; readonly problems: readonly Problem[]; readonly sources: ReadonlyMap<string, string> }
  | { readonly kind: 'unchanged' }
