import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Problem } from '../diagnostics/problem.ts'
import type { ConfigReader } from './config-reader.ts'
import type { LoadMode } from './read-document.ts'
import type { KafkaSasl, KafkaTls } from './router-config.ts'
import { problemAt, type ValuePath } from './source-document.ts'

/** A chain of certificates is a few kilobytes. */
const largestPem = 1_048_576

const pemKinds = { ca: 'CERTIFICATE', cert: 'CERTIFICATE', key: 'PRIVATE KEY' } as const

type PemName = keyof typeof pemKinds

export interface KafkaSecurity {
  readonly ssl?: KafkaTls
  readonly sasl?: KafkaSasl
}

export interface SecurityContext {
  readonly root: string
  readonly mode: LoadMode
  readonly problems: Problem[]
}

/** `ssl` and `sasl` of the Kafka broker at `path`. Certificate files are read here, so that a missing one is a located problem. */
export function readKafkaSecurity(reader: ConfigReader, path: ValuePath, context: SecurityContext): KafkaSecurity {
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

function readTls(reader: ConfigReader, path: ValuePath, context: SecurityContext): KafkaTls | undefined {
  if (reader.value(path) === true) return { rejectUnauthorized: true }
  if (reader.map(path) === undefined) return undefined
  const pem = (name: PemName) => {
    const text = readPem(reader, [...path, name], name, context)
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

/** A value is PEM text where it holds PEM text, else a file: relative to the project, or absolute where certificates are mounted elsewhere. */
function readPem(reader: ConfigReader, path: ValuePath, name: PemName, { root, mode, problems }: SecurityContext): string | undefined {
  const written = reader.text(path)
  const { document } = reader
  if (written === undefined || document === undefined || !document.isSound(path)) return undefined
  const kind = pemKinds[name]
  // Environment files often hold PEM in one line, with \n in place of its line breaks.
  if (written.includes('-----BEGIN')) return checked(written.replaceAll('\\n', '\n'), 'The text')
  // A private key need not be on the machine that validates.
  const severity = mode === 'run' ? 'error' : 'warning'
  const hint = `Name a PEM file, relative to ${document.file}, or give the text: ${name}: "\${KAFKA_${name.toUpperCase()}}"`
  try {
    const file = resolve(root, written)
    if (statSync(file).size > largestPem) return refused('The file is too large to be a PEM file', 'error')
    return checked(readFileSync(file, 'utf8'), 'The file')
  } catch (error) {
    return refused(`The file cannot be read: ${reasonOf(error)}`, severity)
  }

  function checked(text: string, what: string): string | undefined {
    return text.includes(`${kind}-----`) ? text : refused(`${what} holds no PEM block of type ${kind}`, 'error')
  }

  function refused(message: string, as: 'error' | 'warning'): undefined {
    if (document !== undefined) problems.push(problemAt(document, path, 'file-unreadable', message, { severity: as, hint }))
  }
}

/** What Node refuses to connect with: a key of another certificate, a wrong passphrase, damaged PEM. */
function reportUnusable(reader: ConfigReader, path: ValuePath, tls: KafkaTls, { problems }: SecurityContext): void {
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

/** The system's error code in words; anything else is a bug and thrown on. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'it does not exist'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (code === 'EISDIR') return 'it is a folder'
  if (typeof code === 'string') return code
  throw error
}
