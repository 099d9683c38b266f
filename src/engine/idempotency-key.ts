import { createHash } from 'node:crypto'
import type { IdempotencyPlan, RoutePlan } from '../compiler/plan.ts'
import type { MessageScope } from './message-scope.ts'

/** Longer keys are hashed, since stores keep millions of them; and so are those that UTF-8 might not tell apart: halves of surrogate pairs. */
const plain = /^[^\ud800-\udfff]{0,200}$/

/** The key as stores have it. Put together, scope and key name it; apart, a message costs no new text. */
export interface ScopedKey {
  readonly scope: string
  readonly key: string
}

/**
 * The scopes of a subscription's keys: the group and the route. Group and route names have no `/`, and `=` or `#` says what follows, so that no key can
 * look like another route's, or like the hash of another.
 */
export class KeyScopes {
  /** By the route's id. */
  readonly #plain = new Map<string, string>()

  keyOf(plan: IdempotencyPlan, group: string, route: RoutePlan, message: MessageScope): ScopedKey {
    const key = plan.key(message)
    if (plain.test(key)) return { scope: this.#scopeOf(group, route), key }
    return { scope: `${group}/${route.name}/#`, key: createHash('sha256').update(key, 'utf16le').digest('base64url') }
  }

  #scopeOf(group: string, { id, name }: RoutePlan): string {
    let scope = this.#plain.get(id)
    if (scope === undefined) {
      scope = `${group}/${name}/=`
      this.#plain.set(id, scope)
    }
    return scope
  }
}

/** A hash of what the route is about to do: the event's name and its data, whatever the order of the keys in it. */
export function contentCheck({ event, data }: MessageScope): string {
  return createHash('sha256')
    .update(JSON.stringify([event ?? null, sorted(data)]))
    .digest('base64url')
}

/** Messages nested deeper than this are not compared below it: they are strangers' data. */
const deepest = 200

function sorted(value: unknown, depth = 0): unknown {
  if (Buffer.isBuffer(value)) return { bytes: value.toString('base64') }
  if (typeof value !== 'object' || value === null || depth > deepest) return value ?? null
  if (Array.isArray(value)) return value.map(element => sorted(element, depth + 1))
  // Pairs, not a map: a key such as `__proto__` or `1` would not keep its place.
  return {
    map: Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, inner]) => [key, sorted(inner, depth + 1)]),
  }
}
