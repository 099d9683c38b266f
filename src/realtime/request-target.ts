import type { IncomingMessage } from 'node:http'

/** What a request asks for, its path and parameters; undefined where it is not a path. The host in it means nothing. */
export function requestTarget({ url }: IncomingMessage): URL | undefined {
  const absolute = `http://localhost${url}`
  return url?.startsWith('/') === true && URL.canParse(absolute) ? new URL(absolute) : undefined
}
