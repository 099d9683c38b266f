import { createHmac } from 'node:crypto'

/**
 * Headers that prove where a request comes from, as the Standard Webhooks specification has them, so that its libraries can check them:
 * HMAC-SHA256 in base64 over `id.timestamp.body`. A secret that starts with `whsec_` holds the key's bytes in base64, any other is the key itself.
 */
export function signatureHeaders(secret: string, id: string, body: Buffer | undefined, nowMs: number): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000))
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret, 'utf8')
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`)
  if (body !== undefined) mac.update(body)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${mac.digest('base64')}` }
}
