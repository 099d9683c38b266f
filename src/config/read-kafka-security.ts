import { createSecureContext } from 'node:tls'
import type { ConfigReader } from './config-reader.ts'
import { type PemContext, readPem } from './read-pem.ts'
import type { KafkaSasl, KafkaTls } from './router-config.ts'
import { problemAt, type ValuePath } from './source-document.ts'

const pemKinds = { ca: 'CERTIFICATE', cert: 'CERTIFICATE', key: 'PRIVATE KEY' } as const

type PemName = keyof typeof pemKinds

export interface KafkaSecurity {
  readonly ssl?: KafkaTls
  readonly sasl?: KafkaSasl
}

/** `ssl` and `sasl` of the Kafka broker at `path`. Certificate files are read here, so that a missing one is a located problem. */
export function readKafkaSecurity(reader: ConfigReader, path: ValuePath, context: PemContext): KafkaSecurity {
  const ssl = readTls(reader, [...path, 'ssl'], context)
  const sasl = readSasl(reader, [...path, 'sasl'])
  return { ...(ssl === undefined ? {} : { ssl }), ...(sasl === undefined ? {} : { sasl }) }
}

function readSasl(reader: ConfigReader, path: ValuePath): KafkaSasl | undefined {
  const mechanism = (['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const).find(name => name === reader.text([...path, 'mechanism']))
  const username = reader.text([...path, 'username'])
  const password = reader.text([...path, 'password'])
  return mechanism === undefined || username === undefined || password === undefined ? undefined : { mechanism, username, password }
}

function readTls(reader: ConfigReader, path: ValuePath, context: PemContext): KafkaTls | undefined {
  if (reader.value(path) === true) return { rejectUnauthorized: true }
  if (reader.map(path) === undefined) return undefined
  const pem = (name: PemName) => {
    const text = readPem(reader, [...path, name], { kind: pemKinds[name], variable: `KAFKA_${name.toUpperCase()}` }, context)
    return text === undefined ? {} : { [name]: text }
  }
  const text = (name: 'passphrase' | 'servername') => {
    const value = reader.text([...path, name])
    return value === undefined ? {} : { [name]: value }
  }
  const tls = {
    ...pem('ca'),
    ...pem('cert'),
    ...pem('key'),
    ...text('passphrase'),
    ...text('servername'),
    rejectUnauthorized: reader.value([...path, 'rejectUnauthorized']) !== false,
  }
  reportUnusable(reader, path, tls, context)
  return tls
}

/** What Node refuses to connect with: a key of another certificate, a wrong passphrase, damaged PEM. */
function reportUnusable(reader: ConfigReader, path: ValuePath, tls: KafkaTls, { problems }: PemContext): void {
  const { document } = reader
  if (document === undefined || !document.isSound(path)) return
  const alone = reader.text([...path, 'cert']) === undefined ? 'key' : reader.text([...path, 'key']) === undefined ? 'cert' : undefined
  if (alone !== undefined && reader.text([...path, alone]) !== undefined) {
    const other = alone === 'key' ? 'cert' : 'key'
    const message = `\`${alone}\` needs \`${other}\`: a client proves who it is with both`
    problems.push(problemAt(document, [...path, alone], 'schema-missing-key', message, { hint: `Add \`${other}\`` }))
    return
  }
  try {
    createSecureContext(tls)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^error:[^ ]*:/, '') : String(error)
    const message = `The certificates cannot be used: ${reason}`
    const hint = 'Check that `key` belongs to `cert`, and `passphrase` to `key`'
    problems.push(problemAt(document, path, 'schema-value', message, { hint, range: document.keyRangeOf(path) }))
  }
}
