import type { IncomingMessage } from 'node:http'
import type { AppChannels } from './channels.ts'
import { closeCodes } from './close-code.ts'
import type { RefusalReason } from './counters.ts'
import type { OriginRule } from './origin.ts'

/** Protocol 5 made `data` a JSON string; 6 and 7 changed nothing in what is served here. Pusher's Java client still asks for 5. */
const protocols = new Set(['5', '6', '7'])

export interface Refusal {
  readonly code: number
  readonly reason: RefusalReason
  readonly message: string
}

export type Handshake = { readonly kind: 'accepted'; readonly app: AppChannels } | ({ readonly kind: 'refused' } & Refusal)

/** The key in `/app/{key}`; undefined for any other path. */
export function requestedKey(target: URL): string | undefined {
  const match = /^\/app\/([^/]+)\/?$/.exec(target.pathname)
  if (match?.[1] === undefined) return undefined
  try {
    return decodeURIComponent(match[1])
  } catch {
    return undefined
  }
}

export function shakeHands(
  request: IncomingMessage,
  target: URL,
  key: string,
  apps: ReadonlyMap<string, AppChannels>,
  originAllowed: OriginRule,
): Handshake {
  const app = apps.get(key)
  if (app === undefined) return refused(closeCodes.unknownKey, 'app-key', 'There is no app with this key')
  const protocol = target.searchParams.get('protocol')
  if (protocol === null || protocol === '') {
    return refused(closeCodes.noProtocol, 'protocol-version', 'The `protocol` parameter is missing')
  }
  if (!protocols.has(protocol)) {
    return refused(closeCodes.unsupportedProtocol, 'protocol-version', 'This protocol version is not supported: use 7')
  }
  const { origin, host } = request.headers
  // Servers and command-line tools send no Origin; browsers always do.
  if (origin !== undefined && !originAllowed(origin, host)) {
    return refused(closeCodes.unauthorized, 'origin', 'Pages of this origin may not connect')
  }
  return { kind: 'accepted', app }
}

function refused(code: number, reason: RefusalReason, message: string): Handshake {
  return { kind: 'refused', code, reason, message }
}
