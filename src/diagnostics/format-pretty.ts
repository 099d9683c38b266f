import { createColors } from 'picocolors'
import { codeFrame } from './code-frame.ts'
import { visible } from './display-width.ts'
import type { Problem, RelatedPlace, SourceRange } from './problem.ts'

export interface PrettyOptions {
  readonly color: boolean
}

/**
 * Problems for people: `file:line:column: error: message [code]`, the line with the place underlined, what to do, and at the end a line that counts.
 * Empty for no problems. `sources` holds the texts by file; a problem in another file is printed without its line.
 */
export function formatPretty(problems: readonly Problem[], sources: ReadonlyMap<string, string>, options: PrettyOptions): string {
  if (problems.length === 0) return ''
  const colors = createColors(options.color)
  const blocks = problems.map(problem => formatProblem(problem, sources, colors))
  return `${blocks.join('\n\n')}\n\n${summary(problems, colors)}\n`
}

type Colors = ReturnType<typeof createColors>

function formatProblem(problem: Problem, sources: ReadonlyMap<string, string>, colors: Colors): string {
  const paint = problem.severity === 'error' ? colors.red : colors.yellow
  const place = colors.bold(visible(placeOf(problem.file, problem.range)))
  const lines = [`${place}: ${paint(problem.severity)}: ${visible(problem.message)} ${colors.dim(`[${problem.code}]`)}`]
  const gutter = String(problem.range?.start.line ?? '').length
  lines.push(...frameLines(problem, sources, gutter, colors, paint))
  if (problem.hint !== undefined) lines.push(note(gutter, `${colors.cyan('hint')}: ${visible(problem.hint)}`, colors))
  for (const related of problem.related ?? []) lines.push(note(gutter, relatedText(related), colors))
  return lines.join('\n')
}

function frameLines(
  problem: Problem,
  sources: ReadonlyMap<string, string>,
  gutter: number,
  colors: Colors,
  paint: (text: string) => string,
): readonly string[] {
  const source = sources.get(problem.file)
  const frame = source === undefined || problem.range === undefined ? undefined : codeFrame(source, problem.range)
  if (frame === undefined) return []
  const bar = colors.dim('|')
  const blank = ' '.repeat(gutter)
  return [
    ` ${blank} ${bar}`,
    ` ${colors.dim(String(frame.line).padStart(gutter))} ${bar} ${frame.code}`,
    ` ${blank} ${bar} ${' '.repeat(frame.indent)}${paint('^'.repeat(frame.width))}`,
  ]
}

function note(gutter: number, text: string, colors: Colors): string {
  return ` ${' '.repeat(gutter)} ${colors.dim('=')} ${text}`
}

function relatedText({ message, file, range }: RelatedPlace): string {
  return visible(`${placeOf(file, range)}: ${message}`)
}

function placeOf(file: string, range: SourceRange | undefined): string {
  return range === undefined ? file : `${file}:${range.start.line}:${range.start.column}`
}

/** `2 errors and 1 warning in 2 files` */
function summary(problems: readonly Problem[], colors: Colors): string {
  const errors = problems.filter(problem => problem.severity === 'error').length
  const counts = [count(errors, 'error'), count(problems.length - errors, 'warning')].filter(text => text !== '')
  const text = `${counts.join(' and ')} in ${count(new Set(problems.map(problem => problem.file)).size, 'file')}`
  return colors.bold(errors > 0 ? colors.red(text) : colors.yellow(text))
}

function count(number: number, noun: string): string {
  return number === 0 ? '' : `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`
}
