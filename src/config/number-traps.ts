import type { Problem } from '../diagnostics/problem.ts'
import type { OpenDocument } from './open-document.ts'
import { problemAt, type ValuePath } from './source-document.ts'
import { resolveAlias, type ScalarNode, type YamlNode } from './yaml-node.ts'

/** Numbers in conditions that YAML reads as another value than the text looks like: `007`, `0x1F`, `1e3`, and those with more digits than a number holds. */
export function numberTraps(open: OpenDocument): readonly Problem[] {
  const problems: Problem[] = []
  const seen = new Set<YamlNode>()
  const root = open.nodeAt([])
  if (root !== undefined) visit(root, [], false)
  return problems

  function visit(node: YamlNode, path: ValuePath, inCondition: boolean): void {
    const target = resolveAlias(node)
    if (target.kind === 'scalar') {
      const meaning = inCondition && !seen.has(target) ? trapOf(target) : undefined
      if (meaning === undefined) return
      seen.add(target)
      const message = `YAML reads \`${target.text}\` as the number ${meaning}`
      const quoted = `Write "${target.text}" in quotes for the text`
      const hint =
        Number.isSafeInteger(target.resolved) || !/^[-+]?\d+$/.test(target.text) ? `${quoted}, or \`${meaning}\` for the number` : quoted
      problems.push(problemAt(open.document, path, 'when-number', message, { severity: 'warning', hint }))
    } else if (target.kind === 'list') {
      for (const [index, item] of target.items.entries()) visit(item, [...path, index], inCondition)
    } else {
      for (const [key, entry] of target.entries) visit(entry.value, [...path, key], inCondition || isCondition(path, key))
    }
  }
}

/** A `when` of a route (`routes.<name>.when`) or of an action (`actions[n].when`); elsewhere it is a key of somebody's data. */
function isCondition(path: ValuePath, key: string): boolean {
  if (key !== 'when') return false
  return (path.length === 2 && path[0] === 'routes') || (typeof path.at(-1) === 'number' && path.at(-2) === 'actions')
}

function trapOf(node: ScalarNode): string | undefined {
  if (!node.plain || typeof node.resolved !== 'number') return undefined
  const looksOtherwise =
    /^[-+]?0\d|^0[xo]|[eE]/.test(node.text) || (Number.isInteger(node.resolved) && !Number.isSafeInteger(node.resolved))
  return looksOtherwise ? String(node.resolved) : undefined
}
