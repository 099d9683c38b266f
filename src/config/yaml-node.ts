import type { ProblemCode } from '../diagnostics/problem.ts'

/**
 * A YAML value and where it stands: offsets into the text, `end` exclusive, quotes and brackets included. A node that has an anchor may
 * stand at several paths; an alias keeps its own place.
 */
export type YamlNode = ScalarNode | ListNode | MapNode | AliasNode

export interface ScalarNode {
  readonly kind: 'scalar'
  readonly start: number
  readonly end: number
  /** The decoded text; `''` where nothing is written. */
  readonly text: string
  /** What the text means: the text itself, or a number, boolean or null of the YAML 1.2 core schema. */
  readonly resolved: string | number | boolean | null
  /** Offset of the first character where the text stands in the file exactly so; undefined where it is folded, escaped or indented. */
  readonly textStart: number | undefined
  /** Written without quotes on one line or several. */
  readonly plain: boolean
}

export interface ListNode {
  readonly kind: 'list'
  readonly start: number
  readonly end: number
  readonly items: readonly YamlNode[]
}

export interface MapNode {
  readonly kind: 'map'
  readonly start: number
  readonly end: number
  /** Merge keys are already applied: such entries stand where the merged map wrote them. */
  readonly entries: ReadonlyMap<string, MapEntry>
}

export interface MapEntry {
  readonly keyStart: number
  readonly keyEnd: number
  readonly value: YamlNode
}

export interface AliasNode {
  readonly kind: 'alias'
  readonly start: number
  readonly end: number
  readonly target: ValueNode
}

export type ValueNode = Exclude<YamlNode, AliasNode>

export function resolveAlias(node: YamlNode): ValueNode {
  return node.kind === 'alias' ? node.target : node
}

/** Something wrong with the YAML itself. */
export interface YamlFault {
  readonly code: ProblemCode
  readonly message: string
  readonly start: number
  readonly end: number
  readonly hint?: string
  /** The text around it can be read as if a word stood in its place. */
  readonly skippable?: boolean
  /** An earlier place that belongs to it, such as the first of two equal keys. */
  readonly earlier?: { readonly message: string; readonly start: number; readonly end: number }
}
