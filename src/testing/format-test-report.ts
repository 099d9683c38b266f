import { createColors } from 'picocolors'
import { codeFrame } from '../diagnostics/code-frame.ts'
import type { TestFailure, TestReport, TestResult } from './run-tests.ts'

type Colors = ReturnType<typeof createColors>

/** A report for people: failures at the line of the expectation, then counts and the routes that no case hit. */
export function formatTestReport({ results, sources, coverage }: TestReport, options: { readonly color: boolean }): string {
  const colors = createColors(options.color)
  const lines: string[] = []
  for (const file of [...new Set(results.map(result => result.file))]) {
    lines.push(colors.bold(file))
    for (const result of results.filter(one => one.file === file)) lines.push(...resultLines(result, sources.get(file) ?? '', colors))
    lines.push('')
  }
  const failed = results.filter(({ failures }) => failures.length > 0).length
  const counts = [`${results.length - failed} passed`, ...(failed === 0 ? [] : [colors.red(`${failed} failed`)])].join(', ')
  const never = untested(coverage)
  const hit = coverage.size - never.length
  lines.push(`${counts}; ${hit} of ${coverage.size} ${coverage.size === 1 ? 'route' : 'routes'} tested`)
  if (never.length > 0) lines.push(colors.yellow(`never tested: ${never.join(', ')}`))
  return `${lines.join('\n')}\n`
}

/** Routes that no case hit. */
export function untested(coverage: TestReport['coverage']): readonly string[] {
  return [...coverage].flatMap(([id, hits]) => (hits === 0 ? [id] : []))
}

function resultLines(result: TestResult, text: string, colors: Colors): readonly string[] {
  if (result.failures.length === 0) return [`  ${colors.green('✓')} ${result.name}`]
  return [`  ${colors.red('✗')} ${result.name}`, ...result.failures.flatMap(failure => failureLines(result.file, failure, text, colors))]
}

function failureLines(file: string, { message, range, difference }: TestFailure, text: string, colors: Colors): readonly string[] {
  const { line, column } = range.start
  const frame = codeFrame(text, range)
  const gutter = ' '.repeat(String(line).length)
  const source =
    frame === undefined
      ? []
      : [
          `      ${colors.dim(`${line} |`)} ${frame.code}`,
          `      ${gutter} ${colors.dim('|')} ${' '.repeat(frame.indent)}${colors.red('^'.repeat(frame.width))}`,
        ]
  return [`    ${file}:${line}:${column}: ${message}`, ...source, ...differenceLines(difference, colors).map(one => `      ${one}`)]
}

function differenceLines(difference: TestFailure['difference'], colors: Colors): readonly string[] {
  if (difference === undefined) return []
  const { expected, actual } = difference
  return [
    ...(expected === undefined ? [] : shown(expected).map(line => colors.green(`- ${line}`))),
    ...(actual === undefined ? [] : shown(actual).map(line => colors.red(`+ ${line}`))),
  ]
}

const lineLimit = 100

function shown(value: unknown): readonly string[] {
  if (value instanceof Uint8Array) return [`${value.byteLength} bytes`]
  const line = JSON.stringify(value) ?? String(value)
  return line.length <= lineLimit ? [line] : JSON.stringify(value, null, 2).split('\n')
}
