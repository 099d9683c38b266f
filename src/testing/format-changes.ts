import { createColors } from 'picocolors'
import type { Difference, RoutingChanges } from './compare-plans.ts'

export interface Restart {
  readonly subscription: string
  readonly because: string
}

/** A comparison for people. */
export function formatChanges(changes: RoutingChanges, restarts: readonly Restart[], options: { readonly color: boolean }): string {
  const colors = createColors(options.color)
  const lines = changes.changes.map(({ kind, subscription, route, text }) => {
    const name = route === undefined ? subscription : `${subscription}/${route}`
    if (kind === 'added') return colors.green(`+ ${name}: ${text}`)
    return kind === 'removed' ? colors.red(`- ${name}: ${text}`) : `~ ${name}: ${text}`
  })
  const sections = [
    ...differenceLines('channels', changes.channels),
    ...differenceLines('topics read', changes.topics),
    ...differenceLines('topics written', changes.emits),
    ...restarts.map(({ subscription, because }) => `${subscription}: its consumer restarts (${because})`),
  ]
  if (lines.length + sections.length === 0) return 'no change in routing\n'
  return `${[...lines, ...(lines.length > 0 && sections.length > 0 ? [''] : []), ...sections].join('\n')}\n`
}

function differenceLines(name: string, { gained, lost }: Difference): readonly string[] {
  return [
    ...(gained.length === 0 ? [] : [`${name} gained: ${gained.join(', ')}`]),
    ...(lost.length === 0 ? [] : [`${name} lost: ${lost.join(', ')}`]),
  ]
}
