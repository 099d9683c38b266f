import {
  boolCoreTag,
  COLLECTION_STYLE,
  EVENT_ID,
  type Event,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml'
import { FatalFault, YamlBudget } from './yaml-budget.ts'
import { documentFault, syntaxFault, unknownAliasFault, unquotedTemplateFault } from './yaml-fault.ts'
import type { AliasNode, ListNode, MapEntry, MapNode, ScalarNode, ValueNode, YamlFault, YamlNode } from './yaml-node.ts'
import { resolveAlias } from './yaml-node.ts'
import { leadingSpace, skipPast } from './yaml-scan.ts'

/** Deepest nesting as written. */
const deepest = 64
/** Places overwritten in one file before reading on is given up. */
const mostSkipped = 20
/** Characters; each place that is overwritten costs reading the file once more. */
const longestReread = 100_000

export interface ParsedYaml {
  /** Undefined for a file that holds nothing, or that cannot be read at all. */
  readonly root: YamlNode | undefined
  readonly faults: readonly YamlFault[]
  /** Nodes that stand in for something wrong: whatever is checked later stays silent about them. */
  readonly broken: ReadonlySet<YamlNode>
}

/**
 * Reads one YAML 1.2 document (core schema, merge keys). Never throws for what the text holds. The library parses; the tree is built here, because
 * its constructor gives values without places and stops at the first duplicate key. This is the only file that imports the library.
 */
export function parseYaml(text: string): ParsedYaml {
  const skipped: YamlFault[] = []
  let readable = text
  for (;;) {
    const builder = new TreeBuilder(readable, skipped)
    try {
      builder.read(parseEvents(readable, { maxDepth: deepest }))
      return { root: builder.root, faults: [...skipped, ...builder.faults], broken: builder.broken }
    } catch (error) {
      const fault = faultOf(error, readable)
      if (!fault.skippable || skipped.length === mostSkipped || text.length > longestReread) {
        const earlier = error instanceof FatalFault ? error.earlier : []
        return { root: undefined, faults: [...skipped, ...earlier, fault], broken: builder.broken }
      }
      // The place is known and the rest can be read: a word of the same length keeps all other places right.
      skipped.push(fault)
      readable = readable.slice(0, fault.start) + 'x'.repeat(fault.end - fault.start) + readable.slice(fault.end)
    }
  }
}

function faultOf(error: unknown, text: string): YamlFault {
  if (error instanceof FatalFault) return error.fault
  if (error instanceof YAMLException) return syntaxFault(text, error.reason, error.mark?.position ?? 0)
  throw error
}

class TreeBuilder {
  root: YamlNode | undefined
  readonly faults: YamlFault[] = []
  readonly broken = new Set<YamlNode>()
  private readonly text: string
  private events: readonly Event[] = []
  private index = 0
  /** End of what was read last: an empty value stands there. */
  private cursor = 0
  private readonly anchors = new Map<string, ValueNode | 'open'>()
  private readonly budget = new YamlBudget()

  /** Places overwritten in the text because they could not be read. */
  private readonly skipped: readonly YamlFault[]

  constructor(text: string, skipped: readonly YamlFault[]) {
    this.text = text
    this.skipped = skipped
  }

  read(events: readonly Event[]): void {
    this.events = events
    const documents = events.filter(event => event.type === EVENT_ID.DOCUMENT).length
    if (documents > 1) throw new FatalFault(documentFault(this.text))
    if (documents === 0) return
    this.checkAmount()
    this.index = 1
    const root = this.node()
    const nothing = root.kind === 'scalar' && root.text === '' && root.plain
    this.root = nothing ? undefined : root
  }

  private checkAmount(): void {
    let values = 0
    for (const event of this.events) {
      values += 1
      if (event.type === EVENT_ID.SCALAR) this.budget.chargeValues(values, Math.max(0, event.valueStart))
    }
  }

  private fault(fault: YamlFault): void {
    this.budget.chargeFault(this.faults)
    this.faults.push(fault)
  }

  private node(): YamlNode {
    const event = this.events[this.index]
    this.index += 1
    switch (event?.type) {
      case EVENT_ID.SCALAR:
        return this.anchored(event, this.scalar(event))
      case EVENT_ID.SEQUENCE: {
        this.open(event)
        this.checkTag(event, ['seq'])
        return this.anchored(event, this.list(event.start, event.style === COLLECTION_STYLE.FLOW))
      }
      case EVENT_ID.MAPPING: {
        this.open(event)
        this.checkTag(event, ['map'])
        return this.anchored(event, this.map(event.start, event.style === COLLECTION_STYLE.FLOW))
      }
      case EVENT_ID.ALIAS:
        return this.alias(event.anchorStart, event.anchorEnd)
      default:
        throw new Error(`unexpected YAML event ${event?.type} at ${this.cursor}`)
    }
  }

  private open(event: { readonly anchorStart: number; readonly anchorEnd: number }): void {
    if (event.anchorStart >= 0) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), 'open')
  }

  private anchored<T extends ValueNode>(event: { readonly anchorStart: number; readonly anchorEnd: number }, node: T): T {
    if (event.anchorStart >= 0) this.anchors.set(this.text.slice(event.anchorStart, event.anchorEnd), node)
    return node
  }

  private alias(nameStart: number, nameEnd: number): YamlNode {
    const name = this.text.slice(nameStart, nameEnd)
    const start = nameStart - 1
    this.cursor = nameEnd
    this.budget.chargeAlias(start, nameEnd)
    const target = this.anchors.get(name)
    if (target === undefined || target === 'open') {
      this.fault(unknownAliasFault(name, start, nameEnd, target === 'open'))
      return this.standIn(start, nameEnd)
    }
    const node: AliasNode = { kind: 'alias', start, end: nameEnd, target }
    this.budget.share(node, target)
    return node
  }

  private scalar(event: ScalarEvent): ScalarNode {
    if (event.valueStart < 0) {
      this.cursor = Math.max(this.cursor, event.anchorEnd, event.tagEnd)
      const node: ScalarNode = {
        kind: 'scalar',
        start: this.cursor,
        end: this.cursor,
        text: '',
        resolved: null,
        textStart: undefined,
        plain: true,
      }
      return { ...node, resolved: this.resolve(event, '') }
    }
    const text = getScalarValue(this.text, event)
    const faults = this.faults.length
    const quotes = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED ? 1 : 0
    this.cursor = event.valueEnd + quotes
    const block = event.style === SCALAR_STYLE.LITERAL_BLOCK || event.style === SCALAR_STYLE.FOLDED_BLOCK
    const written = this.text.slice(event.valueStart, event.valueEnd)
    const node: ScalarNode = {
      kind: 'scalar',
      start: block ? event.valueStart + leadingSpace(written) : event.valueStart - quotes,
      end: block ? event.valueStart + written.trimEnd().length : event.valueEnd + quotes,
      text,
      resolved: this.resolve(event, text),
      textStart: written === text ? event.valueStart : undefined,
      plain: event.style === SCALAR_STYLE.PLAIN,
    }
    if (this.faults.length > faults || this.skipped.some(fault => fault.start < node.end && node.start < fault.end)) this.broken.add(node)
    return node
  }

  private resolve(event: ScalarEvent, text: string): ScalarNode['resolved'] {
    const tag = this.checkTag(event, ['str', 'null', 'bool', 'int', 'float'])
    if (tag === 'str' || (tag === undefined && event.style !== SCALAR_STYLE.PLAIN)) return text
    for (const core of [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag]) {
      if (tag !== undefined && core.tagName !== `tag:yaml.org,2002:${tag}`) continue
      const value = core.resolve(text, tag !== undefined, core.tagName)
      if (value === null || typeof value === 'boolean' || typeof value === 'number') return value
      if (tag !== undefined && value === NOT_RESOLVED) {
        this.fault({
          code: 'yaml-syntax',
          message: `\`${text}\` cannot be read as \`!!${tag}\``,
          start: event.tagStart,
          end: event.tagEnd,
        })
      }
    }
    return text
  }

  /** The short name of an explicit core tag. Other tags would make values that configuration has no use for. */
  private checkTag(event: { readonly tagStart: number; readonly tagEnd: number }, allowed: readonly string[]): string | undefined {
    if (event.tagStart < 0) return undefined
    const written = this.text.slice(event.tagStart, event.tagEnd)
    if (written === '!') return 'str'
    const name = /^(?:!!|!<tag:yaml\.org,2002:)(\w+)>?$/.exec(written)?.[1]
    if (name !== undefined && allowed.includes(name)) return name
    this.fault({
      code: 'yaml-syntax',
      message: `The tag \`${written}\` is not supported`,
      start: event.tagStart,
      end: event.tagEnd,
      hint: 'Remove it',
    })
    return undefined
  }

  private list(start: number, flow: boolean): ListNode {
    const items: YamlNode[] = []
    this.cursor = Math.max(this.cursor, start + (flow ? 1 : 0))
    while (!this.popped()) {
      if (!flow) this.cursor = skipPast(this.text, this.cursor, '', '-')
      items.push(this.node())
    }
    const node: ListNode = { kind: 'list', start, end: this.collectionEnd(start, flow), items }
    this.budget.measure(node, items)
    return node
  }

  private map(start: number, flow: boolean): MapNode {
    const entries = new Map<string, MapEntry>()
    const overridable = new Set<string>()
    this.cursor = Math.max(this.cursor, start + (flow ? 1 : 0))
    while (!this.popped()) {
      const key = this.node()
      this.cursor = skipPast(this.text, this.cursor, '', ':')
      const value = this.node()
      if (key.kind === 'scalar' && key.plain && key.text === '<<') this.merge(entries, overridable, value, key)
      else if (key.kind === 'scalar') this.addEntry(entries, overridable, key, value)
      else this.complexKey(key, value, start, flow)
    }
    const node: MapNode = { kind: 'map', start, end: this.collectionEnd(start, flow), entries }
    const values = [...entries.values()].map(entry => entry.value)
    this.budget.measure(node, values)
    if (this.brokenMaps.has(start)) this.broken.add(node)
    return node
  }

  private addEntry(entries: Map<string, MapEntry>, overridable: Set<string>, key: ScalarNode, value: YamlNode): void {
    const earlier = entries.get(key.text)
    if (earlier !== undefined && !overridable.delete(key.text)) {
      this.fault({
        code: 'yaml-duplicate-key',
        message: `The key \`${key.text}\` stands twice in one map`,
        start: key.start,
        end: key.end,
        hint: 'Remove one, or give it another name',
        earlier: { message: 'it stands here first', start: earlier.keyStart, end: earlier.keyEnd },
      })
      this.broken.add(earlier.value)
      return
    }
    entries.set(key.text, { keyStart: key.start, keyEnd: key.end, value })
  }

  /** A map or list as a key: what an unquoted `{{x}}` looks like to YAML. */
  private complexKey(key: YamlNode, value: YamlNode, mapStart: number, flow: boolean): void {
    const lone = value.kind === 'scalar' && value.resolved === null
    if (key.kind === 'map' && lone && flow) {
      this.fault(unquotedTemplateFault(this.text, mapStart))
    } else {
      this.fault({
        code: 'yaml-syntax',
        message: 'A key must be text',
        start: key.start,
        end: key.end,
        hint: 'Write the key as plain text',
      })
    }
    this.brokenMaps.add(mapStart)
  }

  private readonly brokenMaps = new Set<number>()

  private merge(entries: Map<string, MapEntry>, overridable: Set<string>, value: YamlNode, key: ScalarNode): void {
    const source = resolveAlias(value)
    const maps = source.kind === 'list' ? source.items.map(resolveAlias) : [source]
    for (const map of maps) {
      if (map.kind !== 'map') {
        if (this.broken.has(map)) continue
        this.fault({
          code: 'yaml-alias',
          message: 'A merge key `<<` takes a map or a list of maps',
          start: key.start,
          end: key.end,
          hint: 'Write `<<: *anchor`',
        })
        continue
      }
      this.budget.chargeMerge(map.entries.size, key.start, key.end)
      for (const [name, entry] of map.entries) {
        if (entries.has(name)) continue
        entries.set(name, entry)
        overridable.add(name)
      }
    }
  }

  private standIn(start: number, end: number): ScalarNode {
    const node: ScalarNode = { kind: 'scalar', start, end, text: '', resolved: null, textStart: undefined, plain: false }
    this.broken.add(node)
    return node
  }

  private popped(): boolean {
    if (this.events[this.index]?.type !== EVENT_ID.POP) return false
    this.index += 1
    return true
  }

  /** The library gives no end for collections: a block ends with its last value, a flow collection at its bracket. */
  private collectionEnd(start: number, flow: boolean): number {
    if (flow) this.cursor = skipPast(this.text, this.cursor, ',:', ']}')
    return Math.max(this.cursor, start + 1)
  }
}
