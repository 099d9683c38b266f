import type { IncomingMessage } from 'node:http'

/** Lets the page that asked read the answer, cookies included. Whether it may is the caller's to check. */
export function corsHeaders({ headers }: IncomingMessage, methods: string): Record<string, string> {
  const { origin } = headers
  if (origin === undefined) return {}
  const requested = headers['access-control-request-headers']
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': methods,
    'access-control-max-age': '600',
    vary: 'Origin',
    ...(requested === undefined ? {} : { 'access-control-allow-headers': requested }),
  }
}
