import { type FlowGraph, flowGraph } from '../compiler/flow-graph.ts'
import type { RoutingPlan, SubscriptionPlan } from '../compiler/plan.ts'

/** The configuration at work, as the page shows it. */
export interface InspectorState {
  /** The name in router.yaml. */
  readonly app: string
  /** Counts the configurations that were at work, from 1. */
  readonly generation: number
  readonly flow: FlowGraph
  /** What the form offers: topics without patterns, event names without wildcards. */
  readonly topics: readonly string[]
  readonly events: readonly string[]
}

/** More than a person can look at. */
const mostNodes = 400
const mostOffered = 500

export function describePlan(app: string, generation: number, plan: RoutingPlan): InspectorState {
  const { nodes, edges } = flowGraph(plan)
  const shown = nodes.slice(0, mostNodes)
  const ids = new Set(shown.map(({ id }) => id))
  return {
    app,
    generation,
    flow: { nodes: shown, edges: edges.filter(({ from, to }) => ids.has(from) && ids.has(to)) },
    topics: unique(plan.subscriptions.flatMap(({ topics }) => topics.names)),
    events: unique(plan.subscriptions.flatMap(exactEvents)),
  }
}

function exactEvents({ routes }: SubscriptionPlan): readonly string[] {
  return routes.flatMap(({ events }) => events.filter(event => !event.includes('*')))
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)].slice(0, mostOffered)
}
