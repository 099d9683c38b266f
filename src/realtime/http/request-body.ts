import type { IncomingMessage } from 'node:http'

export type RequestBody = { readonly kind: 'read'; readonly body: Buffer } | { readonly kind: 'too-large' } | { readonly kind: 'aborted' }

/** How much of a body that is too large is read and dropped, so that its sender gets to see the answer. */
const drainUpTo = 8

/** Reads a request's body up to `limit` bytes. The server's request time-out bounds how long it takes. */
export async function readBody(request: IncomingMessage, limit: number): Promise<RequestBody> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) continue
      size += chunk.length
      if (size > limit * drainUpTo) break
      if (size <= limit) chunks.push(chunk)
    }
  } catch {
    return { kind: 'aborted' }
  }
  return size > limit ? { kind: 'too-large' } : { kind: 'read', body: Buffer.concat(chunks) }
}
