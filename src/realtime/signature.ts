import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** Hexadecimal HMAC-SHA256, the only signature of the Pusher protocol. */
export function sign(secret: string, text: string): string {
  return createHmac('sha256', secret).update(text).digest('hex')
}

interface Signer {
  readonly key: string
  readonly secret: string
}

/** The `auth` value of a subscription: `key:signature`. Presence channels also sign their `channel_data`. */
export function channelAuth({ key, secret }: Signer, socketId: string, channel: string, channelData?: string): string {
  return `${key}:${sign(secret, `${socketId}:${channel}${channelData === undefined ? '' : `:${channelData}`}`)}`
}

/** The `auth` value of a sign-in. */
export function userAuth({ key, secret }: Signer, socketId: string, userData: string): string {
  return `${key}:${sign(secret, `${socketId}::user::${userData}`)}`
}

/** Compares in a time that depends on the lengths alone. */
export function sameText(expected: string, given: string): boolean {
  const expectedBytes = Buffer.from(expected)
  const givenBytes = Buffer.from(given)
  return expectedBytes.length === givenBytes.length && timingSafeEqual(expectedBytes, givenBytes)
}

export function md5(body: Buffer): string {
  return createHash('md5').update(body).digest('hex')
}

/**
 * What a signed HTTP request signs: method, path, and every parameter but the signature, by lower-cased name in order, not URL-escaped
 * (Pusher's HTTP API reference, "Authentication").
 */
export function requestText(method: string, path: string, parameters: ReadonlyMap<string, string>): string {
  const pairs = [...parameters]
    .filter(([name]) => name !== 'auth_signature')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
  return `${method}\n${path}\n${pairs.join('&')}`
}
