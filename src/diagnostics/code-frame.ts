import { displayWidth, visible } from './display-width.ts'
import type { SourceRange } from './problem.ts'

/** Most characters of a source line that are shown. */
const lineLimit = 120
/** What stays visible before the range when a long line is clipped. */
const lead = 40

export interface CodeFrame {
  readonly line: number
  /** The source line, ready to print. */
  readonly code: string
  /** Columns before the underline. */
  readonly indent: number
  /** Columns of the underline, at least 1. */
  readonly width: number
}

/** The first line of a range; undefined where the text has no such line. */
export function codeFrame(text: string, range: SourceRange): CodeFrame | undefined {
  const source = lineAt(text, range.start.line)
  if (source === undefined) return undefined
  const start = Math.min(range.start.column - 1, source.length)
  const end = range.end.line > range.start.line ? source.trimEnd().length : Math.min(range.end.column - 1, source.length)
  const from = source.length > lineLimit && start > lead ? start - lead : 0
  const to = Math.min(source.length, from + lineLimit)
  const prefix = from > 0 ? '…' : ''
  const before = prefix + visible(source.slice(from, start))
  const marked = visible(source.slice(start, Math.max(start, Math.min(end, to))))
  const rest = visible(source.slice(Math.max(start, Math.min(end, to)), to))
  return {
    line: range.start.line,
    code: before + marked + rest + (to < source.length ? '…' : ''),
    indent: displayWidth(before),
    width: Math.max(1, displayWidth(marked)),
  }
}

function lineAt(text: string, line: number): string | undefined {
  let start = 0
  const lineBreak = /\r\n|\r|\n/g
  for (let current = 1; ; current += 1) {
    const match = lineBreak.exec(text)
    if (current === line) return text.slice(start, match?.index ?? text.length)
    if (match === null) return undefined
    start = lineBreak.lastIndex
  }
}
