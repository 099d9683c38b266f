import { problemAt, type SourceDocument, type ValuePath } from '../config/source-document.ts'
import type { Position, Problem, ProblemCode, RelatedPlace, Severity, SourceRange } from '../diagnostics/problem.ts'

/** Collects the problems of one document, each at the place a person has to change. */
export interface DocumentReport {
  readonly document: SourceDocument
  at(path: ValuePath, code: ProblemCode, message: string, hint?: string, related?: readonly RelatedPlace[]): void
  atKey(path: ValuePath, code: ProblemCode, message: string, hint?: string, severity?: Severity): void
  /** Inside the text at `path`: `length` characters from `index`. */
  inText(path: ValuePath, index: number, length: number, code: ProblemCode, message: string, hint?: string, severity?: Severity): void
  /** What works and is most likely not meant. */
  warn(path: ValuePath, code: ProblemCode, message: string, hint?: string): void
}

/** Problems go to `problems`. */
export function reportOn(document: SourceDocument, problems: Problem[]): DocumentReport {
  return {
    document,
    at(path, code, message, hint, related) {
      const problem = problemAt(document, path, code, message, hint === undefined ? {} : { hint })
      problems.push(related === undefined ? problem : { ...problem, related })
    },
    atKey(path, code, message, hint, severity = 'error') {
      const range = document.keyRangeOf(path)
      problems.push(problemAt(document, path, code, message, { range, severity, ...(hint === undefined ? {} : { hint }) }))
    },
    inText(path, index, length, code, message, hint, severity = 'error') {
      const range = rangeIn(document, path, index, length)
      problems.push(problemAt(document, path, code, message, { range, severity, ...(hint === undefined ? {} : { hint }) }))
    },
    warn(path, code, message, hint) {
      problems.push(problemAt(document, path, code, message, { severity: 'warning', ...(hint === undefined ? {} : { hint }) }))
    },
  }
}

/** The whole scalar where the document cannot tell places inside it: then both ends fall on its start. */
function rangeIn(document: SourceDocument, path: ValuePath, index: number, length: number): SourceRange {
  const start = document.positionIn(path, index)
  const end = document.positionIn(path, index + length)
  return comesBefore(start, end) ? { start, end } : document.rangeOf(path)
}

function comesBefore(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.column < b.column)
}
