import { createPublicKey } from 'node:crypto'
import type { ConfigReader } from './config-reader.ts'
import { type PemContext, readPem } from './read-pem.ts'
import { type JwtAlgorithm, type JwtConfig, jwtAlgorithms } from './router-config.ts'
import { problemAt, type SourceDocument, type ValuePath } from './source-document.ts'

const keyNames = ['secret', 'publicKey', 'jwks'] as const
const longestToleranceMs = 60_000
/** In bits (RFC 7518, section 3.3). */
const smallestRsaKey = 2_048
const defaults = { secret: ['HS256'], key: ['RS256', 'ES256'] } as const

type Report = (name: string, message: string, hint: string) => void

/** `jwt:` of an app. Undefined where there is none, or none that can be used, which is reported. */
export function readJwt(reader: ConfigReader, path: ValuePath, context: PemContext): JwtConfig | undefined {
  const { document } = reader
  if (document === undefined || reader.map(path) === undefined) return undefined
  const report: Report = (name, message, hint) => {
    const at = reader.value([...path, name]) === undefined ? path : [...path, name]
    if (document.isSound(at))
      context.problems.push(problemAt(document, at, 'schema-value', message, { hint, range: document.keyRangeOf(at) }))
  }
  const written = keyNames.filter(name => reader.value([...path, name]) !== undefined)
  const [name, other] = written
  if (other !== undefined) report(other, `\`${name}\` and \`${other}\` cannot both check tokens`, 'Keep one of them')
  if (name === undefined) report('', '`jwt` needs what checks its tokens', 'Write `secret: "${JWT_SECRET}"`, `publicKey` or `jwks`')
  if (name === undefined || other !== undefined) return undefined
  const clockToleranceMs = reader.duration([...path, 'clockTolerance'], 5_000)
  if (clockToleranceMs > longestToleranceMs) report('clockTolerance', 'Clocks may be at most 1m apart', 'Leave it out for 5s')
  const algorithms = readAlgorithms(reader, path, name, report)
  const key = readKey(reader, path, name, context, report)
  if (key?.kind === 'public-key' && algorithms.length > 0) checkKey(key.pem, algorithms, report)
  const [issuer, audience] = [reader.text([...path, 'issuer']), reader.text([...path, 'audience'])]
  return key === undefined ? undefined : { key, algorithms, issuer, audience, clockToleranceMs }
}

function readAlgorithms(reader: ConfigReader, path: ValuePath, name: (typeof keyNames)[number], report: Report): readonly JwtAlgorithm[] {
  const kind = name === 'secret' ? 'secret' : 'key'
  const written = reader.texts([...path, 'algorithms'])
  if (written === undefined) return defaults[kind]
  const fitting: readonly JwtAlgorithm[] = jwtAlgorithms[kind].filter(algorithm => written.includes(algorithm))
  if (fitting.length < written.length)
    report('algorithms', `\`${name}\` cannot check all of these`, `With \`${name}\`: ${jwtAlgorithms[kind].join(', ')}`)
  return fitting
}

function readKey(
  reader: ConfigReader,
  path: ValuePath,
  name: (typeof keyNames)[number],
  context: PemContext,
  report: Report,
): JwtConfig['key'] | undefined {
  const value = reader.text([...path, name])
  const { document } = reader
  if (value === undefined || document === undefined || !document.isSound([...path, name])) return undefined
  if (name === 'jwks') return { kind: 'jwks', url: value }
  if (name === 'publicKey') {
    const pem = readPem(reader, [...path, name], { kind: 'PUBLIC KEY', variable: 'JWT_PUBLIC_KEY' }, context)
    return pem === undefined ? undefined : { kind: 'public-key', pem }
  }
  if (!writtenAt(document, [...path, name]).includes('${')) {
    report('secret', 'A secret that lets everybody in does not stand in a file', 'Write `secret: "${JWT_SECRET}"` and set the variable')
    return undefined
  }
  return { kind: 'secret', secret: value }
}

/** The text as it stands in the file, references and all. */
function writtenAt(document: SourceDocument, path: ValuePath): string {
  const { start, end } = document.rangeOf(path)
  const lines = document.text.split('\n').slice(start.line - 1, end.line)
  return start.line === end.line ? (lines[0] ?? '').slice(start.column - 1, end.column - 1) : lines.join('\n')
}

/** The curve or kind of key that each algorithm signs with (RFC 7518, section 3.1). */
function fits(type: string | undefined, curve: string | undefined, algorithm: JwtAlgorithm): boolean {
  if (algorithm === 'EdDSA') return type === 'ed25519'
  const curves: Partial<Record<JwtAlgorithm, string>> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }
  return algorithm.startsWith('ES') ? type === 'ec' && curve === curves[algorithm] : type === 'rsa'
}

function checkKey(pem: string, algorithms: readonly JwtAlgorithm[], report: Report): void {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPublicKey(pem)
    if (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) < smallestRsaKey) {
      report('publicKey', `An RSA key has at least ${smallestRsaKey} bits`, 'Sign tokens with a larger key, or with an EC key')
      return
    }
    if (algorithms.some(algorithm => fits(asymmetricKeyType, asymmetricKeyDetails?.namedCurve, algorithm))) return
    const written = `${asymmetricKeyType} ${asymmetricKeyDetails?.namedCurve ?? ''}`.trim()
    report('publicKey', `No algorithm here fits a key of type ${written}`, `Set \`algorithms\`; they are ${algorithms.join(', ')}`)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error:[^ ]*:/, '') : String(error)
    report('publicKey', `The key cannot be used: ${reason}`, 'Give a public key in PEM, as `openssl pkey -pubout` writes it')
  }
}
