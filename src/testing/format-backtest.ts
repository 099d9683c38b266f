import { createColors } from 'picocolors'
import { showValue } from '../engine/show-value.ts'
import type { BacktestExample, BacktestReport, DifferenceKind, Outcome, RouteDifference } from './backtest.ts'

type Colors = ReturnType<typeof createColors>

export interface BacktestHeading {
  readonly topics: readonly string[]
  /** How the person named the version before. */
  readonly against: string
  /** What could not be looked at, a sentence each. */
  readonly notes: readonly string[]
}

/** A backtest for people. Ends with a line break. */
export function formatBacktest(report: BacktestReport, heading: BacktestHeading, options: { readonly color: boolean }): string {
  const colors = createColors(options.color)
  const { messages, changed, routes, outputs } = report
  const lines = [`${counted(messages, 'message')} of ${heading.topics.join(', ')}, the project against ${heading.against}`, '']
  for (const route of routes) lines.push(...routeLines(route, colors), '')
  const totals = Object.entries(outputs).map(([action, { before, after }]) => `${action}: ${number(before)} → ${number(after)}`)
  if (totals.length > 0) lines.push(totals.join('; '))
  lines.push(...heading.notes.map(note => `note: ${note}`))
  lines.push(
    changed === 0
      ? 'nothing would change; nothing was executed'
      : `${counted(changed, 'message')} would be treated differently; nothing was executed`,
  )
  return `${lines.join('\n')}\n`
}

const words: Readonly<Record<DifferenceKind, string>> = {
  taken: 'takes what it did not take',
  left: 'no longer takes',
  changed: 'sends something else',
  fails: 'cannot render an action',
  'dead-lettered': 'dead-letters what it did not dead-letter',
  'let-through': 'no longer dead-letters',
}

function routeLines({ route, differences }: RouteDifference, colors: Colors): readonly string[] {
  return [
    colors.bold(route),
    ...differences.flatMap(({ kind, messages, examples }) => [
      `  ${paint(kind, colors)(words[kind])}: ${counted(messages, 'message')}`,
      ...examples.flatMap(example => exampleLines(example, colors)),
    ]),
  ]
}

function paint(kind: DifferenceKind, colors: Colors): (text: string) => string {
  if (kind === 'taken' || kind === 'let-through') return colors.green
  return kind === 'changed' ? colors.yellow : colors.red
}

function exampleLines({ topic, partition, offset, event, before, after }: BacktestExample, colors: Colors): readonly string[] {
  const was = outcomeLines(before)
  const is = outcomeLines(after)
  return [
    `    ${colors.dim(`${topic}/${partition} offset ${offset}`)} ${event ?? 'no event name'}`,
    ...was.filter(line => !is.includes(line)).map(line => `      ${colors.red(`- ${line}`)}`),
    ...is.filter(line => !was.includes(line)).map(line => `      ${colors.green(`+ ${line}`)}`),
  ]
}

function outcomeLines({ state, why, outputs }: Outcome): readonly string[] {
  if (state !== 'taken') return [`${state === 'left' ? 'left alone' : 'dead-lettered'}: ${why}`]
  return outputs.length === 0 ? ['taken, without an action'] : outputs.map(outputLine)
}

function outputLine({ action, error, skipped, ...rest }: Outcome['outputs'][number]): string {
  if (error !== undefined) return `${action} cannot be rendered: ${error}`
  if (skipped === true) return `${action} is left out: ${String(rest['why'])}`
  const details = Object.entries(rest).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : showValue(value)}`)
  return `${action} ${details.join('  ')}`
}

function counted(count: number, word: string): string {
  return `${number(count)} ${word}${count === 1 ? '' : 's'}`
}

function number(count: number): string {
  return count.toLocaleString('en-US')
}
