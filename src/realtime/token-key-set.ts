import { performance } from 'node:perf_hooks'
import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from 'jose'
import type { RealtimeLog } from './settings.ts'

const answerWithinMs = 5_000
const keptForMs = 600_000
/** Between two requests for keys that tokens name and the set lacks: whoever makes up key ids must not make this server ask. */
const restAfterAnswerMs = 30_000
const restAfterFailureMs = 5_000
/** A key is about half a kilobyte. */
const largestSet = 64 * 1024

/** The keys cannot be had at the moment: nothing can be said about a token. */
export class KeySetError extends Error {
  override readonly name = 'KeySetError'
  readonly code = 'key-set-unavailable'
}

type KeySetRequest = Parameters<FetchImplementation>[1]

/** The JSON Web Key Set at the one address that the configuration names: addresses in tokens (`jku`, `x5u`) are never followed, redirects neither. */
export function remoteKeySet(url: string, log: RealtimeLog, stopping: AbortSignal): JWTVerifyGetKey {
  let failedAt: number | undefined
  const fetchBounded = async (address: string, { signal, ...options }: KeySetRequest): Promise<Response> => {
    if (failedAt !== undefined && performance.now() - failedAt < restAfterFailureMs) throw new KeySetError('The last request has failed')
    try {
      const body = await read(await fetch(address, { ...options, signal: AbortSignal.any([signal, stopping]) }))
      failedAt = undefined
      return new Response(body)
    } catch (error) {
      failedAt = performance.now()
      if (!stopping.aborted) log.error({ err: error, host: new URL(url).host }, 'the key set of tokens could not be fetched')
      throw new KeySetError('The key set could not be fetched', { cause: error })
    }
  }
  return createRemoteJWKSet(new URL(url), {
    timeoutDuration: answerWithinMs,
    cooldownDuration: restAfterAnswerMs,
    cacheMaxAge: keptForMs,
    [customFetch]: fetchBounded,
  })
}

/** Throws where it is no key set, so that the failure is known as one. */
async function read(response: Response): Promise<string> {
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`The address answered with status ${response.status}`)
  }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body) {
    bytes += part.byteLength
    // Leaving the loop early cancels the rest.
    if (bytes > largestSet) throw new Error(`The key set has more than ${largestSet} bytes`)
    parts.push(part)
  }
  const text = Buffer.concat(parts).toString('utf8')
  const set: unknown = JSON.parse(text)
  if (typeof set !== 'object' || set === null || !('keys' in set) || !Array.isArray(set.keys)) throw new Error('The answer is no key set')
  return text
}
