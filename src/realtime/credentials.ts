import type { IncomingMessage } from 'node:http'
import type { AuthorizeRequest } from './authorize.ts'

/** What a request says about who sent it, kept as it came: taken apart only when a module asks. */
export interface Credentials {
  readonly parameters: string
  readonly cookie: string | undefined
  readonly authorization: string | undefined
  readonly headers: readonly (readonly [name: string, value: string])[]
}

const handedOn = ['origin', 'user-agent', 'accept-language', 'referer', 'x-csrf-token', 'x-xsrf-token', 'x-requested-with']

export function credentialsOf({ headers }: IncomingMessage, parameters: string): Credentials {
  return {
    parameters,
    cookie: headers.cookie,
    authorization: headers.authorization,
    headers: handedOn.flatMap(name => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value] as const] : []
    }),
  }
}

type Identity = Pick<AuthorizeRequest, 'token' | 'cookie' | 'query' | 'headers'>

export function readCredentials({ parameters, cookie, authorization, headers }: Credentials): Identity {
  const query = textMap(new URLSearchParams(parameters))
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  return { token: bearer ?? query['token'], cookie: textMap(cookiePairs(cookie ?? '')), query, headers: textMap(headers) }
}

/** Without a prototype: names are the stranger's. Of a name that stands twice the first counts. */
function textMap(pairs: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
  const map: Record<string, string> = Object.create(null)
  for (const [name, value] of pairs) map[name] ??= value
  return map
}

function* cookiePairs(header: string): Generator<readonly [string, string]> {
  for (const part of header.split(';').map(written => written.trim())) {
    const equals = part.indexOf('=')
    if (equals > 0) yield [part.slice(0, equals).trim(), decoded(part.slice(equals + 1).trim())]
  }
}

/** Cookies hold URL-escaped text by custom, not by rule. */
function decoded(value: string): string {
  const plain = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value
  try {
    return decodeURIComponent(plain)
  } catch {
    return plain
  }
}
