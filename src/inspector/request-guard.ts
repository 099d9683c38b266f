import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** A request that is not served. `message` goes to whoever asked. */
export class RequestRefused extends Error {
  override readonly name = 'RequestRefused'
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

const loopbackHost = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?$/i

/**
 * Keeps other web sites out: a name that somebody's DNS points at 127.0.0.1 (DNS rebinding) shows in `Host`, another site's script in
 * `Origin` or `Sec-Fetch-Site`. The port in `Host` may be another one than ours: ports get forwarded. Throws RequestRefused.
 */
export function checkSource({ headers }: IncomingMessage): void {
  const { host = '', origin } = headers
  if (!loopbackHost.test(host)) throw new RequestRefused(403, 'only requests to a loopback address are served')
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    throw new RequestRefused(403, 'requests from other origins are not served')
  }
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new RequestRefused(403, 'requests from other sites are not served')
  }
}

/** Asks for `Authorization: Bearer` with one of the tokens. Throws RequestRefused. */
export function checkBearer({ headers }: IncomingMessage, tokens: readonly string[]): void {
  const given = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1]
  if (given === undefined || !tokens.some(token => sameText(token, given))) {
    throw new RequestRefused(401, 'the bearer token is missing or wrong')
  }
}

/** In constant time: digests have one length whatever the texts have. */
function sameText(one: string, other: string): boolean {
  return timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest())
}
