import { createPublicKey, createSecretKey } from 'node:crypto'
import { errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import type { JwtConfig, ServerLimits } from '../config/router-config.ts'
import { type Pass, readPass } from './pass.ts'
import type { RealtimeLog } from './settings.ts'
import { KeySetError, remoteKeySet } from './token-key-set.ts'

const longestToken = 8 * 1024

/** What is said about a token. `refused` and `unavailable` (it may be valid, but that cannot be found out now) come with what its bearer is told. */
export type TokenAnswer =
  | { readonly kind: 'valid'; readonly pass: Pass }
  | { readonly kind: 'refused' | 'unavailable'; readonly error: string }

/** True for what looks like a signed JSON Web Token. The signatures of the Pusher protocol, `key:signature`, never do. */
export function isToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text)
}

/** Checks the tokens of one app. What is taken says the configuration alone: of a token's header only `alg`, which must be listed, and `kid` count. */
export class TokenVerifier {
  readonly #claims: (token: string) => Promise<JWTPayload>
  readonly #clockToleranceMs: number
  readonly #log: RealtimeLog

  /** `stopping` ends a request for keys that is under way. */
  constructor({ key, algorithms, issuer, audience, clockToleranceMs }: JwtConfig, log: RealtimeLog, stopping: AbortSignal) {
    const options: JWTVerifyOptions = {
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: clockToleranceMs / 1000,
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    }
    this.#clockToleranceMs = clockToleranceMs
    this.#log = log
    if (key.kind === 'jwks') {
      const keys = remoteKeySet(key.url, log, stopping)
      this.#claims = async token => (await jwtVerify(token, keys, options)).payload
    } else {
      const known = key.kind === 'secret' ? createSecretKey(key.secret, 'utf8') : createPublicKey(key.pem)
      this.#claims = async token => (await jwtVerify(token, known, options)).payload
    }
  }

  async verify(token: string, limits: ServerLimits): Promise<TokenAnswer> {
    if (token.length > longestToken) return { kind: 'refused', error: `A token has at most ${longestToken} characters` }
    try {
      const reading = readPass(await this.#claims(token), this.#clockToleranceMs, limits)
      return 'fault' in reading ? { kind: 'refused', error: reading.fault } : { kind: 'valid', pass: reading.pass }
    } catch (error) {
      const fault = faultOf(error)
      if (fault !== undefined) return { kind: 'refused', error: fault }
      if (!(error instanceof KeySetError)) this.#log.error({ err: error }, 'a token could not be checked')
      return { kind: 'unavailable', error: 'The token cannot be checked at the moment' }
    }
  }
}

/** What is wrong with a token, without anything that stands in it; undefined where the fault is not the token's. */
function faultOf(error: unknown): string | undefined {
  if (error instanceof errors.JWTExpired) return 'The token has expired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.reason === 'missing' ? `The token needs \`${error.claim}\`` : `\`${error.claim}\` of the token does not hold here`
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'The algorithm of the token is not one of those taken here'
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return 'No key, or more than one, fits the token'
  }
  // A key of another kind than the token's algorithm is a TypeError.
  if (error instanceof errors.JWSSignatureVerificationFailed || error instanceof TypeError) return 'The signature of the token is wrong'
  if (error instanceof errors.JWKSInvalid || error instanceof errors.JWKSTimeout) return undefined
  return error instanceof errors.JOSEError ? 'This is not a valid JSON Web Token' : undefined
}
