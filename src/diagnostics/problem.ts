import type { ProblemCode } from './codes.ts'

export type { ProblemCode } from './codes.ts'

/** A place in a source file. `line` and `column` count from 1; `column` counts UTF-16 code units, as editors do. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** From `start` up to, not including, `end`. */
export interface SourceRange {
  readonly start: Position
  readonly end: Position
}

export type Severity = 'error' | 'warning'

/** One thing wrong with what a person wrote: where it is, what it is, and what to do about it. */
export interface Problem {
  /** Stable, listed in `codes.ts`, never reused for something else. */
  readonly code: ProblemCode
  readonly severity: Severity
  /** One plain sentence without a final full stop. */
  readonly message: string
  /** Relative to the project's root, with forward slashes. */
  readonly file: string
  /** Absent only where the file as a whole is meant (missing, unreadable). */
  readonly range?: SourceRange
  /** What to write instead, in the imperative. */
  readonly hint?: string
  readonly related?: readonly RelatedPlace[]
}

export interface RelatedPlace {
  readonly message: string
  readonly file: string
  readonly range?: SourceRange
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some(problem => problem.severity === 'error')
}
