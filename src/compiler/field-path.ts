import { type Scope, type ScopeRoot, scopeRoots, type Template } from './scope.ts'

/** `data.items.0.sku`: a root of the scope and the own properties below it. */
export interface FieldPath {
  readonly root: ScopeRoot
  readonly segments: readonly string[]
  /** As written. */
  readonly text: string
}

/** A path that has the right form; its first part may still not be a root. */
export interface WrittenPath {
  readonly parts: readonly string[]
  readonly text: string
}

/** Splits `a.b.[odd key].0`. Undefined where the text is not a path. */
export function splitPath(text: string): WrittenPath | undefined {
  const parts: string[] = []
  const part = /(?:\[([^\]]+)\]|([^\s.[\]{}()"'|=~]+))(\.|$)/y
  while (part.lastIndex < text.length) {
    const match = part.exec(text)
    if (match === null) return undefined
    const [, quoted, plain, end] = match
    parts.push(quoted ?? plain ?? '')
    if (end === '' && part.lastIndex === text.length) return { parts, text }
  }
  return undefined
}

/** Undefined where the first part is not a root of the scope. */
export function rootedPath(written: WrittenPath): FieldPath | undefined {
  const [first, ...segments] = written.parts
  const root = scopeRoots.find(name => name === first)
  return root === undefined ? undefined : { root, segments, text: written.text }
}

/** An own property of an object or list; undefined for everything else, so that no template reaches a prototype. */
function own(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

const rootReaders: Readonly<Record<ScopeRoot, Template<unknown>>> = {
  id: scope => scope.id,
  source: scope => scope.source,
  event: scope => scope.event,
  data: scope => scope.data,
  key: scope => scope.key,
  headers: scope => scope.headers,
  topic: scope => scope.topic,
  partition: scope => scope.partition,
  offset: scope => scope.offset,
  timestamp: scope => scope.timestamp,
  results: scope => scope.results,
  item: scope => scope.item,
}

/** A reader for the path; fields of `data`, the most common, have one without an inner call. */
export function compilePath(path: FieldPath): Template<unknown> {
  const [first, second, ...rest] = path.segments
  const root = rootReaders[path.root]
  if (first === undefined) return root
  if (second === undefined) return path.root === 'data' ? scope => own(scope.data, first) : scope => own(root(scope), first)
  if (rest.length === 0)
    return path.root === 'data' ? scope => own(own(scope.data, first), second) : scope => own(own(root(scope), first), second)
  const segments = path.segments
  return (scope: Scope) => {
    let value = root(scope)
    for (const segment of segments) value = own(value, segment)
    return value
  }
}
