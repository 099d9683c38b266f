/**
 * What templates and conditions can see of one message. Roots are exactly these properties; everything below a root is read as
 * own properties only. The engine implements it; lazily computed where computing costs.
 */
export interface Scope {
  readonly id: string | undefined
  /** CloudEvents `source`; undefined for other envelopes. */
  readonly source: string | undefined
  /** Undefined for a message without an event name. */
  readonly event: string | undefined
  /** Undefined where the message has no data; null where it says null. */
  readonly data: unknown
  /** The record's key as UTF-8 text; undefined for a record without key. */
  readonly key: string | undefined
  /** Header values as UTF-8 text. A null-prototype object; the last value wins where a name repeats. */
  readonly headers: Readonly<Record<string, string>>
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Epoch milliseconds. */
  readonly timestamp: number
  /** What the route's earlier actions returned, by their `as`. A null-prototype object. */
  readonly results: Readonly<Record<string, unknown>>
  /** The element at hand inside `forEach`. */
  readonly item: unknown
}

export const scopeRoots = [
  'id',
  'source',
  'event',
  'data',
  'key',
  'headers',
  'topic',
  'partition',
  'offset',
  'timestamp',
  'results',
  'item',
] as const satisfies readonly (keyof Scope)[]

export type ScopeRoot = (typeof scopeRoots)[number]

/** A template compiled to a function: no parsing, no closures made per message. Throws `TemplateError`. */
export type Template<T> = (scope: Scope) => T

/** A condition compiled to a function. Never throws: a missing path fails its operator. */
export interface Condition {
  (scope: Scope): boolean
  /** The first line that does not hold for this message; undefined where all do. */
  readonly failure?: (scope: Scope) => ConditionFailure | undefined
}

/** A line of a `when` that does not hold, and what it looked at. */
export interface ConditionFailure {
  /** As YAML: `data.total: { gte: 100 }`. */
  readonly line: string
  /** Undefined for `not:` and `any:`, which look at no single value. */
  readonly path: string | undefined
  /** Undefined where the value is missing. */
  readonly seen: unknown
}

/** A value that cannot stand where a template puts it, in this message. Permanent: trying again cannot help. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly permanent = true
  /** The template as written, such as `private-user.{{data.user_id}}`. */
  readonly template: string
  constructor(message: string, template: string) {
    super(message)
    this.template = template
  }
}
