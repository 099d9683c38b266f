import type { RoutingPlan } from './plan.ts'

/** Topics, routes, and where their outputs go. */
export interface FlowGraph {
  readonly nodes: readonly FlowNode[]
  readonly edges: readonly FlowEdge[]
}

export interface FlowNode {
  readonly id: string
  readonly kind: 'topic' | 'route' | 'handler' | 'channel' | 'address'
  readonly label: string
}

export interface FlowEdge {
  readonly from: string
  readonly to: string
  /** The events that take this way; undefined: whatever comes. */
  readonly label: string | undefined
  /** Of the route's actions that send this way; empty on the way to a route. */
  readonly positions: readonly number[]
  /** Only what fails goes there. */
  readonly isDeadLetter: boolean
}

interface EdgeParts {
  readonly label: string | undefined
  readonly position: number
  readonly isDeadLetter: boolean
}

export function flowGraph({ subscriptions }: RoutingPlan): FlowGraph {
  const nodes = new Map<string, FlowNode>()
  const edges = new Map<string, FlowEdge>()
  const node = (kind: FlowNode['kind'], label: string): string => {
    const key = `${kind} ${label}`
    const known = nodes.get(key) ?? { id: `n${nodes.size + 1}`, kind, label }
    nodes.set(key, known)
    return known.id
  }
  const edge = (from: string, to: string, { label, position, isDeadLetter = false }: Partial<EdgeParts>) => {
    const key = `${from} ${to} ${label} ${isDeadLetter}`
    const positions = [...(edges.get(key)?.positions ?? []), ...(position === undefined ? [] : [position])]
    edges.set(key, { from, to, label, positions, isDeadLetter })
  }
  for (const { topics, routes, unmatched } of subscriptions) {
    const sources = [...topics.names, ...topics.patterns.map(({ source }) => `/${source}/`)].map(name => node('topic', name))
    for (const route of unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes) {
      const own = node('route', route.id)
      const isUnmatched = unmatched.policy === 'actions' && route === unmatched.route
      const label = isUnmatched ? 'no other route' : route.events.length === 0 ? undefined : route.events.join(', ')
      for (const source of sources) edge(source, own, { label })
      for (const { action, deadLetter, position } of route.actions) {
        if (action.handler !== undefined) edge(own, node('handler', action.handler.module), { position })
        for (const target of action.targets) edge(own, node(target.kind, target.name), { position })
        if (deadLetter.kind === 'topic' && deadLetter.topic !== undefined)
          edge(own, node('topic', deadLetter.topic), { position, isDeadLetter: true })
      }
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] }
}

const mermaidShapes: Readonly<Record<FlowNode['kind'], readonly [string, string]>> = {
  topic: ['[(', ')]'],
  route: ['[', ']'],
  handler: ['[[', ']]'],
  channel: ['([', '])'],
  address: ['>', ']'],
}

/** A Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html). */
export function toMermaid({ nodes, edges }: FlowGraph): string {
  const lines = nodes.map(({ id, kind, label }) => `  ${id}${mermaidShapes[kind][0]}"${mermaidText(label)}"${mermaidShapes[kind][1]}`)
  const arrows = edges.map(({ from, to, label, isDeadLetter }) =>
    isDeadLetter ? `  ${from} -. failed .-> ${to}` : `  ${from} -->${label === undefined ? '' : `|"${mermaidText(label)}"|`} ${to}`,
  )
  return `flowchart LR\n${[...lines, ...arrows].join('\n')}\n`
}

/** Entities: quotes end a label, and a `#` would begin one. */
function mermaidText(text: string): string {
  return text.replace(/[#"<>&]/g, character => `#${character.codePointAt(0)};`)
}

const dotShapes: Readonly<Record<FlowNode['kind'], string>> = {
  topic: 'cylinder',
  route: 'box',
  handler: 'component',
  channel: 'ellipse',
  address: 'cds',
}

/** A digraph for Graphviz (https://graphviz.org/doc/info/lang.html). */
export function toDot({ nodes, edges }: FlowGraph): string {
  const lines = nodes.map(({ id, kind, label }) => `  ${id} [shape=${dotShapes[kind]}, label=${dotText(label)}]`)
  const arrows = edges.map(({ from, to, label, isDeadLetter }) => {
    const attributes = isDeadLetter ? ' [style=dashed, label="failed"]' : label === undefined ? '' : ` [label=${dotText(label)}]`
    return `  ${from} -> ${to}${attributes}`
  })
  return `digraph routes {\n  rankdir=LR\n${[...lines, ...arrows].join('\n')}\n}\n`
}

function dotText(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}
