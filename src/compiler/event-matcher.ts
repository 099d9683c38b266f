import type { RoutePlan } from './plan.ts'

/** Why `order.**` and the like are malformed; undefined for a good pattern. */
export function eventPatternFault(pattern: string): { readonly message: string; readonly hint: string } | undefined {
  const segments = pattern.split('.')
  if (segments.includes('')) return { message: `\`${pattern}\` has an empty segment`, hint: 'Join names with single dots: order.created' }
  const partial = segments.find(segment => segment.includes('*') && segment !== '*' && segment !== '**')
  if (partial !== undefined)
    return { message: `\`${partial}\` mixes a wildcard with text`, hint: 'A * stands for one whole segment: order.*' }
  if (segments.indexOf('**') < segments.length - 1 && segments.includes('**'))
    return { message: '** can only be the last segment', hint: 'Use * for a single segment in the middle: order.*.paid' }
  return undefined
}

/** Whether some name fits both patterns. */
export function patternsMeet(one: string, other: string): boolean {
  return segmentsMeet(one.split('.'), other.split('.'))
}

function segmentsMeet([a, ...restA]: readonly string[], [b, ...restB]: readonly string[]): boolean {
  if (a === undefined || b === undefined) return a === b
  if (a === '**' || b === '**') return true
  return (a === b || a === '*' || b === '*') && segmentsMeet(restA, restB)
}

/** One segment of the wildcard patterns; `here` and `below` hold indexes of routes. */
interface TrieNode {
  readonly named: Map<string, TrieNode>
  star: TrieNode | undefined
  /** Patterns that end at this segment. */
  readonly here: number[]
  /** Patterns that end in `**` after this segment. */
  readonly below: number[]
}

/** Names that were resolved through wildcards and are remembered; more than this in use at once are resolved again. */
const rememberedNames = 1_024
/** A longer name is resolved each time: strangers could fill the memory with long ones. */
const rememberedLength = 200

/**
 * Which routes name an event, in file order. Names in exact patterns and names seen lately cost one Map look-up, however many
 * routes there are; the rest walk the wildcards segment by segment. Routes without patterns take every message.
 */
export function compileMatcher(routes: readonly RoutePlan[]): (event: string | undefined) => readonly RoutePlan[] {
  const trie = newNode()
  const exact = new Map<string, number[]>()
  const always: number[] = []
  for (const [index, route] of routes.entries()) {
    if (route.events.length === 0) always.push(index)
    for (const pattern of route.events) {
      if (pattern.includes('*')) insert(trie, pattern, index)
      else
        exact
          .set(pattern, exact.get(pattern) ?? [])
          .get(pattern)
          ?.push(index)
    }
  }
  const deepest = Math.max(0, ...routes.flatMap(route => route.events.map(pattern => pattern.split('.').length)))
  const toRoutes = (found: readonly number[]): readonly RoutePlan[] =>
    Object.freeze([...new Set(found)].sort((a, b) => a - b).flatMap(index => routes[index] ?? []))
  const resolve = (event: string): readonly RoutePlan[] => {
    const found = [...always, ...(exact.get(event) ?? [])]
    // One segment more than any pattern has is enough to tell that a name is longer.
    collect(trie, event.split('.', deepest + 1), 0, found)
    return found.length === 0 ? nothing : toRoutes(found)
  }
  const known = new Map<string, readonly RoutePlan[]>()
  for (const name of exact.keys()) known.set(name, resolve(name))
  const withoutEvent = toRoutes(always)
  let remembered: string[] = []
  return event => {
    if (event === undefined) return withoutEvent
    const match = known.get(event)
    if (match !== undefined) return match
    const resolved = resolve(event)
    if (event.length > rememberedLength) return resolved
    if (remembered.length >= rememberedNames) {
      for (const name of remembered) known.delete(name)
      remembered = []
    }
    known.set(event, resolved)
    remembered.push(event)
    return resolved
  }
}

const nothing: readonly RoutePlan[] = Object.freeze([])

function newNode(): TrieNode {
  return { named: new Map(), star: undefined, here: [], below: [] }
}

function insert(root: TrieNode, pattern: string, route: number): void {
  let node = root
  for (const segment of pattern.split('.')) {
    if (segment === '**') {
      node.below.push(route)
      return
    }
    if (segment === '*') {
      node.star ??= newNode()
      node = node.star
    } else {
      const next = node.named.get(segment) ?? newNode()
      node.named.set(segment, next)
      node = next
    }
  }
  node.here.push(route)
}

/** Visits each node at most once, so that a name with many segments costs no more than the patterns have. */
function collect(node: TrieNode, segments: readonly string[], depth: number, found: number[]): void {
  const segment = segments[depth]
  if (segment === undefined) {
    found.push(...node.here)
    return
  }
  found.push(...node.below)
  const named = node.named.get(segment)
  if (named !== undefined) collect(named, segments, depth + 1, found)
  if (node.star !== undefined) collect(node.star, segments, depth + 1, found)
}
