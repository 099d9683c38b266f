import type { Scope } from '../../src/compiler/scope.ts'

/** A message as templates see it: what is not said is as in a plain `order.created`. */
export function scopeOf(fields: Partial<Scope> = {}): Scope {
  return {
    id: 'evt-1',
    source: undefined,
    event: 'order.created',
    data: {},
    key: undefined,
    headers: Object.create(null),
    topic: 'orders',
    partition: 0,
    offset: 7,
    timestamp: 1_893_456_000_000,
    results: Object.create(null),
    item: undefined,
    ...fields,
  }
}
