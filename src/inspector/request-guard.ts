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

const cookieName = 'signalbox-inspector'

/** Lets in whoever has the cookie or sends the token as bearer. Throws RequestRefused. */
export function checkVisitor(request: IncomingMessage, token: string, session: string): void {
  const cookies = (request.headers.cookie ?? '').split(';').map(cookie => cookie.trim())
  if (cookies.some(cookie => cookie.startsWith(`${cookieName}=`) && sameText(session, cookie.slice(cookieName.length + 1)))) return
  if (request.headers.authorization !== undefined) checkBearer(request, [token])
  else throw new RequestRefused(401, 'open the page as /?token=... with the token of the inspector')
}

/** The cookie for somebody who asked for the page with the right token; undefined where none was given. Throws RequestRefused for a wrong one. */
export function visitorCookie(url: URL, token: string, session: string): string | undefined {
  const given = url.searchParams.get('token')
  if (url.pathname !== '/' || given === null) return undefined
  if (!sameText(token, given)) throw new RequestRefused(401, 'the token is wrong')
  return `${cookieName}=${session}; HttpOnly; SameSite=Strict; Path=/`
}

/** In constant time: digests have one length whatever the texts have. */
function sameText(one: string, other: string): boolean {
  return timingSafeEqual(createHash('sha256').update(one).digest(), createHash('sha256').update(other).digest())
}
