import type { Position, Problem, Severity, SourceRange } from '../diagnostics/problem.ts'
import { type Environment, interpolate } from './environment.ts'
import { type LineIndex, lineIndex } from './line-index.ts'
import type { SourceDocument, ValuePath } from './source-document.ts'
import { toPointer } from './value-path.ts'
import { parseYaml } from './yaml.ts'
import { type MapEntry, resolveAlias, type ScalarNode, type ValueNode, type YamlFault, type YamlNode } from './yaml-node.ts'

export interface OpenOptions {
  /** Relative to the project's root. */
  readonly file: string
  readonly text: string
  readonly env: Environment
  /** How bad an unset variable without default is at this path; undefined: it may be unset. */
  severityOfUnset(path: ValuePath): Severity | undefined
}

/** A document while it is being checked: checks mark what they found wrong, so that later ones stay silent there. */
export interface OpenDocument {
  readonly document: SourceDocument
  /** What reading and environment substitution found. */
  readonly problems: readonly Problem[]
  readonly empty: boolean
  /** False where the text could not be read to its end: there is no value then. */
  readonly readable: boolean
  /** Values taken from the environment, with the first path that uses each. */
  readonly taken: readonly { readonly path: ValuePath; readonly value: string }[]
  /** The node at exactly this path. */
  nodeAt(path: ValuePath): YamlNode | undefined
  entryAt(path: ValuePath): MapEntry | undefined
  /** The text as written in the file, environment references and all. */
  writtenAt(path: ValuePath): string | undefined
  /** True for a value that is one lone `${X}`, which may take another type than text. */
  isLoneReference(path: ValuePath): boolean
  /** True where the environment has a part in the value: it must not be shown. */
  isFromEnvironment(path: ValuePath): boolean
  /** Gives a lone reference the type its schema asks for. */
  retype(path: ValuePath, value: unknown): void
  /** True where a fault stands at exactly this path (or above it), not below. */
  isBroken(path: ValuePath): boolean
  markUnsound(path: ValuePath): void
}

export function openDocument(options: OpenOptions): OpenDocument {
  const parsed = parseYaml(options.text)
  const lines = lineIndex(options.text)
  const problems = parsed.faults.map(fault => faultProblem(options.file, lines, fault))
  const values = new ValueReader(options, lines, problems)
  const value = parsed.root === undefined ? undefined : values.read(parsed.root, [])
  const places = new Places(options.text, lines, parsed.root)
  const soundness = new Soundness()
  if (parsed.root !== undefined && (parsed.broken.size > 0 || values.unset.size > 0)) {
    forEachPath(parsed.root, [], (node, path) => {
      if (parsed.broken.has(node) || values.unset.has(node)) soundness.mark(path)
    })
  }
  const document: SourceDocument = {
    file: options.file,
    text: options.text,
    value,
    rangeOf: path => places.rangeOf(path),
    keyRangeOf: path => places.keyRangeOf(path),
    positionIn: (path, index) => places.positionIn(path, index, node => !values.references.has(node)),
    isSound: path => soundness.isSound(path),
  }
  const scalarAt = (path: ValuePath) => {
    const node = places.nodeAt(path)
    return node === undefined ? undefined : scalarOf(node)
  }
  return {
    document,
    problems,
    empty: parsed.root === undefined && parsed.faults.length === 0,
    readable: parsed.root !== undefined,
    taken: values.taken,
    nodeAt: path => places.nodeAt(path),
    entryAt: path => places.entryAt(path),
    writtenAt: path => scalarAt(path)?.text,
    isLoneReference: path => values.references.get(scalarAt(path))?.lone ?? false,
    isFromEnvironment: path => values.references.has(scalarAt(path)),
    retype: (path, retyped) => assign(value, path, retyped),
    isBroken: path => soundness.isWrong(path),
    markUnsound: path => soundness.mark(path),
  }
}

function scalarOf(node: YamlNode): ScalarNode | undefined {
  const target = resolveAlias(node)
  return target.kind === 'scalar' ? target : undefined
}

function faultProblem(file: string, lines: LineIndex, fault: YamlFault): Problem {
  return {
    code: fault.code,
    severity: 'error',
    message: fault.message,
    file,
    range: lines.rangeOf(fault.start, fault.end),
    ...(fault.hint === undefined ? {} : { hint: fault.hint }),
    ...(fault.earlier === undefined
      ? {}
      : { related: [{ message: fault.earlier.message, file, range: lines.rangeOf(fault.earlier.start, fault.earlier.end) }] }),
  }
}

/** Makes plain values of nodes. Maps have no prototype, so that a key `__proto__` is a key like any other. */
class ValueReader {
  readonly references = new Map<ScalarNode | undefined, { readonly lone: boolean }>()
  readonly unset = new Set<YamlNode>()
  readonly taken: { path: ValuePath; value: string }[] = []
  private readonly options: OpenOptions
  private readonly lines: LineIndex
  private readonly problems: Problem[]
  private readonly shared = new Map<ValueNode, unknown>()

  constructor(options: OpenOptions, lines: LineIndex, problems: Problem[]) {
    this.options = options
    this.lines = lines
    this.problems = problems
  }

  read(node: YamlNode, path: ValuePath): unknown {
    const target = resolveAlias(node)
    if (this.shared.has(target)) return this.shared.get(target)
    const value = this.fresh(target, path)
    this.shared.set(target, value)
    return value
  }

  private fresh(node: ValueNode, path: ValuePath): unknown {
    if (node.kind === 'list') return node.items.map((item, index) => this.read(item, [...path, index]))
    if (node.kind === 'scalar') return typeof node.resolved === 'string' ? this.text(node, node.resolved, path) : node.resolved
    const map: Record<string, unknown> = Object.create(null)
    for (const [key, entry] of node.entries) map[key] = this.read(entry.value, [...path, key])
    return map
  }

  private text(node: ScalarNode, text: string, path: ValuePath): string {
    const result = interpolate(text, this.options.env)
    if (result === undefined) return text
    if (result.kind === 'text') {
      if (result.taken.length > 0 || result.lone) this.references.set(node, { lone: result.lone })
      for (const value of result.taken) this.taken.push({ path, value })
      return result.text
    }
    this.unset.add(node)
    const place = (length: number) => {
      const start = node.textStart === undefined ? node.start : node.textStart + result.index
      return this.lines.rangeOf(start, node.textStart === undefined ? node.end : start + length)
    }
    if (result.kind === 'malformed') {
      const message = `\`${result.written.slice(0, 60)}\` is no reference to an environment variable`
      const hint = 'Write `${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`'
      this.report({ code: 'env-syntax', severity: 'error', message, hint, range: place(result.written.length) })
      return ''
    }
    const severity = this.options.severityOfUnset(path)
    if (severity !== undefined) {
      const message = `The environment variable \`${result.name}\` is not set and has no default`
      const hint = `Set it, or write \`\${${result.name}:-default}\``
      this.report({ code: 'env-unset', severity, message, hint, range: place(result.length) })
    }
    return ''
  }

  private report(problem: Omit<Problem, 'file'>): void {
    this.problems.push({ ...problem, file: this.options.file })
  }
}

/** Answers where things stand. */
class Places {
  private readonly text: string
  private readonly lines: LineIndex
  private readonly root: YamlNode | undefined

  constructor(text: string, lines: LineIndex, root: YamlNode | undefined) {
    this.text = text
    this.lines = lines
    this.root = root
  }

  nodeAt(path: ValuePath): YamlNode | undefined {
    let node = this.root
    for (const part of path) node = node === undefined ? undefined : childOf(node, part)
    return node
  }

  entryAt(path: ValuePath): MapEntry | undefined {
    const parent = this.nodeAt(path.slice(0, -1))
    const map = parent === undefined ? undefined : resolveAlias(parent)
    return map?.kind === 'map' ? map.entries.get(String(path.at(-1))) : undefined
  }

  rangeOf(path: ValuePath): SourceRange {
    const node = this.nodeAt(path)
    if (node === undefined) return path.length === 0 ? this.lines.rangeOf(0, 0) : this.rangeOf(path.slice(0, -1))
    if (node.start < node.end) return this.lines.rangeOf(node.start, this.endOnLine(node))
    const entry = this.entryAt(path)
    return entry === undefined
      ? this.lines.rangeOf(Math.max(0, node.start - 1), node.start)
      : this.lines.rangeOf(entry.keyStart, entry.keyEnd)
  }

  keyRangeOf(path: ValuePath): SourceRange {
    const entry = path.length === 0 ? undefined : this.entryAt(path)
    return entry === undefined ? this.rangeOf(path) : this.lines.rangeOf(entry.keyStart, entry.keyEnd)
  }

  positionIn(path: ValuePath, index: number, isAsWritten: (node: ScalarNode) => boolean): Position {
    const node = this.nodeAt(path)
    const scalar = node === undefined ? undefined : scalarOf(node)
    if (scalar?.textStart === undefined || !isAsWritten(scalar)) return this.rangeOf(path).start
    return this.lines.positionOf(Math.min(scalar.textStart + index, scalar.textStart + scalar.text.length))
  }

  /** A block map or list would underline everything below it: its first line says enough. */
  private endOnLine(node: YamlNode): number {
    if (node.kind === 'scalar' || node.kind === 'alias' || '[{'.includes(this.text.charAt(node.start))) return node.end
    const lineEnd = /\s*(?:\r|\n|$)/g
    lineEnd.lastIndex = node.start
    return Math.min(node.end, Math.max(node.start + 1, lineEnd.exec(this.text)?.index ?? node.end))
  }
}

function childOf(node: YamlNode, part: string | number): YamlNode | undefined {
  const parent = resolveAlias(node)
  if (parent.kind === 'map') return parent.entries.get(String(part))?.value
  return parent.kind === 'list' && typeof part === 'number' ? parent.items[part] : undefined
}

function forEachPath(node: YamlNode, path: ValuePath, visit: (node: YamlNode, path: ValuePath) => void): void {
  const target = resolveAlias(node)
  visit(target, path)
  if (target !== node) visit(node, path)
  if (target.kind === 'list') for (const [index, item] of target.items.entries()) forEachPath(item, [...path, index], visit)
  if (target.kind === 'map') for (const [key, entry] of target.entries) forEachPath(entry.value, [...path, key], visit)
}

/** Remembers which paths are wrong, in the terms of `SourceDocument.isSound`. */
class Soundness {
  private readonly wrong = new Set<string>()
  private readonly above = new Set<string>()

  mark(path: ValuePath): void {
    this.wrong.add(toPointer(path))
    for (let length = 0; length <= path.length; length += 1) this.above.add(toPointer(path.slice(0, length)))
  }

  isSound(path: ValuePath): boolean {
    if (this.wrong.size === 0) return true
    return !this.above.has(toPointer(path)) && !this.isWrong(path)
  }

  isWrong(path: ValuePath): boolean {
    for (let length = 0; length <= path.length; length += 1) if (this.wrong.has(toPointer(path.slice(0, length)))) return true
    return false
  }
}

function assign(root: unknown, path: ValuePath, value: unknown): void {
  let holder: unknown = root
  for (const part of path.slice(0, -1)) holder = typeof holder === 'object' && holder !== null ? Reflect.get(holder, part) : undefined
  const last = path.at(-1)
  if (typeof holder === 'object' && holder !== null && last !== undefined) Reflect.set(holder, last, value)
}
