/** Decides whether a page from `origin` may talk to this server, which it reached as `host` (the Host header). */
export type OriginRule = (origin: string, host: string | undefined) => boolean

/** An exact list, or by default any origin in dev and the server's own host in run. */
export function originRule(origins: readonly string[] | undefined, mode: 'dev' | 'run'): OriginRule {
  if (origins !== undefined) {
    const listed = new Set(origins.map(canonicalOrigin))
    return origin => listed.has(origin)
  }
  if (mode === 'dev') return () => true
  return sameHost
}

/** As browsers send it: without a final slash or the scheme's own port. Schemes of native apps have no canonical form and stay as written. */
function canonicalOrigin(written: string): string {
  const url = parseUrl(written)
  return url === undefined || url.origin === 'null' ? written : url.origin
}

function sameHost(origin: string, host: string | undefined): boolean {
  const from = parseUrl(origin)
  if (from === undefined || host === undefined || host === '') return false
  // The scheme says which port may be left out; behind a proxy that ends TLS it is the browser's scheme that counts.
  return from.host !== '' && from.host === parseUrl(`${from.protocol}//${host}`)?.host
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined
}
