/** What a broken socket says of itself. */
interface SocketFault {
  readonly code: string | undefined
  readonly message: string
}

/** Names of OpenSSL's verification errors, as Node gives them (nodejs.org/api/tls.html, X509 certificate error codes). */
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
])

const OUT_OF_DATE: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'])

/** In one sentence, why there is no secure connection to `address`; undefined where TLS is not what failed. */
export function tlsFault(
  { code = '', message }: SocketFault,
  address: string,
): { readonly message: string; readonly retriable: boolean } | undefined {
  const final = (text: string) => ({ message: text, retriable: false })
  if (UNKNOWN_AUTHORITY.has(code))
    return final(`the certificate of Kafka at ${address} is not signed by an authority that is known here: check \`ssl.ca\` (${code})`)
  if (OUT_OF_DATE.has(code)) return final(`the certificate of Kafka at ${address} is out of date (${code})`)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return final(
      `the certificate of Kafka at ${address} is for another name: ${withoutPrefixes(message)}; set \`ssl.servername\` if it is right`,
    )
  if (/ALERT/.test(code))
    return final(`Kafka at ${address} refused this side's TLS: it may ask for a client certificate, \`ssl.cert\` and \`ssl.key\` (${code})`)
  if (code === 'EPROTO' || /WRONG_VERSION_NUMBER/.test(code) || /before secure TLS connection/.test(message))
    return { message: `Kafka at ${address} broke off the TLS handshake: the port may be one without TLS`, retriable: true }
  return undefined
}

function withoutPrefixes(message: string): string {
  return message.replace(/^Connection error: /, '').replace(/^Hostname\/IP does not match certificate's altnames: /, '')
}
