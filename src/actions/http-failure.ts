/** A call that did not bring what was asked for. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure'
  /** The same call would fail again. */
  readonly permanent: boolean
  /** Undefined where there was no answer. */
  readonly status: number | undefined
  /** How long the other side asks to wait, in ms. */
  readonly retryAfterMs: number | undefined
  constructor(
    message: string,
    options: { readonly permanent: boolean; readonly status?: number; readonly retryAfterMs?: number; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause })
    this.permanent = options.permanent
    this.status = options.status
    this.retryAfterMs = options.retryAfterMs
  }
}

/** The wait that `Retry-After` asks for: seconds, or a date (RFC 9110, section 10.2.3). Undefined for anything else. */
export function retryAfterMs(header: string | readonly string[] | undefined, nowMs: number): number | undefined {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim()
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}
