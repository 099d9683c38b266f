import type { Position, SourceRange } from '../diagnostics/problem.ts'

/** Turns offsets into a text (UTF-16 code units) into lines and columns. */
export interface LineIndex {
  positionOf(offset: number): Position
  rangeOf(start: number, end: number): SourceRange
}

/** Lines end with LF, CRLF or a lone CR, as in YAML. */
export function lineIndex(text: string): LineIndex {
  let starts: readonly number[] | undefined
  function positionOf(offset: number): Position {
    starts ??= lineStarts(text)
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
  return { positionOf, rangeOf: (start, end) => ({ start: positionOf(start), end: positionOf(end) }) }
}

function lineStarts(text: string): readonly number[] {
  const starts = [0]
  const lineBreak = /\r\n|\r|\n/g
  while (lineBreak.exec(text) !== null) starts.push(lineBreak.lastIndex)
  return starts
}
