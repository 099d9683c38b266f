/** What an envelope holds. `data` is undefined where it is absent, null where the message says null. */
export interface DecodedEvent {
  readonly id: string | undefined
  readonly source: string | undefined
  readonly event: string | undefined
  readonly data: unknown
}

export type DecodeFailureCode = 'too-large' | 'too-deep' | 'not-json' | 'not-an-envelope' | 'not-a-cloud-event' | 'bad-cloud-event'

/** Returned, not thrown: bad input is an outcome, and a flood of it must not cost stack traces. */
export class DecodeFailure {
  readonly code: DecodeFailureCode
  readonly message: string
  constructor(code: DecodeFailureCode, message: string) {
    this.code = code
    this.message = message
  }
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function own(map: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined
}

/**
 * An id as text: a non-empty string or a number, else none. JSON numbers beyond 2^53 have lost their last digits: two such ids may look the same
 * and are no identity.
 */
export function identifier(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : undefined
}
