import type { ResolvedApp } from '../settings.ts'
import { md5, requestText, sameText, sign } from '../signature.ts'

/** How far the clocks may be apart, either way (Pusher's HTTP API reference). */
const clockToleranceSeconds = 600

export interface SignedRequest {
  readonly method: string
  readonly target: URL
  readonly body: Buffer
}

/** What is wrong with the signature of a request to the HTTP API; undefined where it holds. `now` is in epoch milliseconds. */
export function signatureFault({ method, target, body }: SignedRequest, app: ResolvedApp, now: number): string | undefined {
  const parameters = new Map<string, string>()
  for (const [name, value] of target.searchParams) {
    const key = name.toLowerCase()
    if (parameters.has(key)) return `The parameter ${JSON.stringify(key)} stands twice`
    parameters.set(key, value)
  }
  if (parameters.get('auth_key') !== app.key) return '`auth_key` is not the key of this app'
  if (parameters.get('auth_version') !== '1.0') return '`auth_version` must be 1.0'
  const timestamp = parameters.get('auth_timestamp') ?? ''
  if (!/^\d{1,12}$/.test(timestamp)) return '`auth_timestamp` must be in seconds since 1970'
  if (Math.abs(now / 1000 - Number(timestamp)) > clockToleranceSeconds) {
    return `\`auth_timestamp\` is more than ${clockToleranceSeconds} seconds away from this server's clock`
  }
  if (body.length > 0 && !sameText(md5(body), parameters.get('body_md5') ?? '')) return '`body_md5` does not belong to this body'
  const expected = sign(app.secret, requestText(method, target.pathname, parameters))
  if (!sameText(expected, parameters.get('auth_signature') ?? '')) return '`auth_signature` is wrong'
  return undefined
}
