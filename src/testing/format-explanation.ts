import { createColors } from 'picocolors'
import type { RenderedOutput } from '../compiler/plan.ts'
import type { Explanation, RouteExplanation, StepExplanation, UnmatchedExplanation } from '../engine/explain.ts'
import { showValue } from '../engine/show-value.ts'
import { policyWords } from './policy-words.ts'

type Colors = ReturnType<typeof createColors>

/** An explanation for people. Ends with a line break. */
export function formatExplanation(explanation: Explanation, options: { readonly color: boolean }): string {
  const colors = createColors(options.color)
  const { routes, unmatched, topic } = explanation
  const lines = routes.flatMap(route => [...routeLines(route, topic, colors), ''])
  if (unmatched !== null) lines.push(...unmatchedLines(unmatched, topic, colors), '')
  const taken = routes.filter(({ matched }) => matched).length
  lines.push(`${taken} of ${routes.length} ${routes.length === 1 ? 'route takes' : 'routes take'} the message; nothing was executed`)
  return `${lines.join('\n')}\n`
}

function routeLines({ route, matched, why, steps, idempotencyKey }: RouteExplanation, topic: string, colors: Colors): readonly string[] {
  if (!matched) return [`${colors.red('✗')} ${colors.bold(route)}`, `    ${why}`]
  const once = idempotencyKey === null ? [] : [`    ${colors.dim(`once for the key ${idempotencyKey}`)}`]
  return [`${colors.green('✓')} ${colors.bold(route)}`, ...stepLines(steps, topic, colors), ...once]
}

function unmatchedLines({ policy, steps }: UnmatchedExplanation, topic: string, colors: Colors): readonly string[] {
  const name = colors.bold('unmatched')
  if (policy === 'ignore') return [`${colors.yellow('-')} ${name}: no route names the event; it is counted and left alone`]
  if (policy === 'dead-letter') return [`${colors.yellow('-')} ${name}: no route names the event; it is dead-lettered`]
  return [`${colors.yellow('-')} ${name}: no route names the event`, ...stepLines(steps, topic, colors)]
}

function stepLines(steps: readonly StepExplanation[], topic: string, colors: Colors): readonly string[] {
  const policies = steps.map(({ action }) => policyWords(action, topic))
  const isShared = new Set(policies).size === 1
  const lines = steps.flatMap(({ action, outputs }, index) => [
    ...outputs.flatMap(output => outputLines(action.position, output, colors)),
    ...(outputs.length === 0 ? [`    ${action.position + 1} ${action.action.kind}: the list is empty, nothing to do`] : []),
    ...(isShared ? [] : [`      ${colors.dim(policies[index] ?? '')}`]),
  ])
  return isShared ? [...lines, `    ${colors.dim(`each action: ${policies[0]}`)}`] : lines
}

function outputLines(position: number, output: StepExplanation['outputs'][number], colors: Colors): readonly string[] {
  const head = `    ${position + 1} ${output.action}`
  if (output.error !== undefined) return [`${head} ${colors.red('cannot be rendered')}: ${output.error}`]
  if (output.skipped === true) return [`${head} ${colors.yellow('is left out')}: ${String(output['why'])}`]
  const { action: _, data, ...rest } = output
  const details = Object.entries(rest).map(([name, value]) => detail(name, value))
  return [`${head} ${details.join('  ')}`, ...(data === undefined ? [] : dataLines(data).map(line => `      ${colors.dim(line)}`))]
}

/** The main one needs no name: it is what people look for. */
const main: readonly string[] = ['channel', 'topic', 'handler', 'url']

function detail(name: string, value: RenderedOutput[string]): string {
  const text = typeof value === 'string' ? value : showValue(value)
  return main.includes(name) ? text : `${name}: ${text}`
}

const lineLimit = 110

function dataLines(data: unknown): readonly string[] {
  if (data instanceof Uint8Array) return [showValue(data)]
  const line = JSON.stringify(data) ?? ''
  return line.length <= lineLimit ? [line] : JSON.stringify(data, null, 2).split('\n')
}
