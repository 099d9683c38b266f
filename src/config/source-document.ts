import type { Position, Problem, ProblemCode, Severity, SourceRange } from '../diagnostics/problem.ts'

/** Where a value stands inside a document: map keys and list indexes from the root. */
export type ValuePath = readonly (string | number)[]

/**
 * One configuration file after reading: its plain value (strings, numbers, booleans, null, lists, null-prototype-safe maps)
 * and where each part of it stands in the text. Values are already environment-substituted; ranges refer to the original text.
 */
export interface SourceDocument {
  /** Relative to the project's root, with forward slashes. */
  readonly file: string
  readonly text: string
  readonly value: unknown
  /** Range of the value at `path`, or of the nearest ancestor that exists. */
  rangeOf(path: ValuePath): SourceRange
  /** Range of the key that leads to `path` (its last element must be a map key); falls back to `rangeOf(path)`. */
  keyRangeOf(path: ValuePath): SourceRange
  /** 1-based position inside the scalar at `path`, `index` characters into its value; the scalar's start where that cannot be told (folded, escaped). */
  positionIn(path: ValuePath, index: number): Position
  /** False where the schema check already reported a problem at `path` or anywhere below it: the compiler then stays silent there. */
  isSound(path: ValuePath): boolean
}

export interface ProblemDetails {
  readonly severity?: Severity
  readonly hint?: string
  readonly range?: SourceRange
}

/** Builds the problem for the value at `path`. */
export function problemAt(
  document: SourceDocument,
  path: ValuePath,
  code: ProblemCode,
  message: string,
  details: ProblemDetails = {},
): Problem {
  return {
    code,
    severity: details.severity ?? 'error',
    message,
    file: document.file,
    range: details.range ?? document.rangeOf(path),
    ...(details.hint === undefined ? {} : { hint: details.hint }),
  }
}
