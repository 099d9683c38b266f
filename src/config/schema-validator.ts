import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { longestTimerMs, parseDuration } from './duration.ts'
import { parseSize } from './size.ts'

export type SchemaName = 'routes' | 'router' | 'tests'

/** Annotations of our schemas for people's messages; they check nothing by themselves. */
const annotations = ['x-expects', 'x-expects-name', 'x-unsupported', 'x-values', 'x-any-of']

const compiled = new Map<SchemaName, ValidateFunction>()

/** Everything wrong with a value, by the same schema files that editors use. Throws only if the package is broken. */
export function schemaErrors(name: SchemaName, value: unknown): readonly ErrorObject[] {
  const validate = compiled.get(name) ?? compile(name)
  return validate(value) ? [] : (validate.errors ?? [])
}

/** The folder is beside `src` and beside `dist`: the same number of steps up. */
function schemaUrl(name: SchemaName): URL {
  return new URL(`../../schemas/${name}.schema.json`, import.meta.url)
}

function compile(name: SchemaName): ValidateFunction {
  const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, strictTypes: false, strictRequired: false, ownProperties: true })
  ajv.addVocabulary(annotations)
  for (const [format, validate] of Object.entries(formats)) ajv.addFormat(format, validate)
  const validate = ajv.compile(JSON.parse(readFileSync(schemaUrl(name), 'utf8')))
  compiled.set(name, validate)
  return validate
}

/** An event is held several times while it is written: in frames, in messages between instances, in histories. */
const largestDataBytes = 4 * 1_048_576

const formats = {
  'signalbox-duration': (text: string) => (parseDuration(text) ?? Number.POSITIVE_INFINITY) <= longestTimerMs,
  'signalbox-positive-duration': (text: string) => {
    const milliseconds = parseDuration(text) ?? 0
    return milliseconds > 0 && milliseconds <= longestTimerMs
  },
  'signalbox-size': (text: string) => parseSize(text) !== undefined,
  'signalbox-data-size': (text: string) => (parseSize(text) ?? Number.POSITIVE_INFINITY) <= largestDataBytes,
  'signalbox-start': (text: string) => text === 'latest' || text === 'earliest' || isTimestamp(text),
  'signalbox-host-port': (text: string) => parseHostPort(text) !== undefined,
  'signalbox-brokers': (text: string) => splitList(text).every(part => parseHostPort(part) !== undefined),
  'signalbox-origin': isOrigin,
  'signalbox-http-url': (text: string) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
  'signalbox-jwks-url': isSafeUrl,
  'signalbox-redis-url': (text: string) => URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol) && new URL(text).host !== '',
  'signalbox-network': isNetwork,
}

/** Keys that arrive unencrypted may be anybody's, except from the machine itself. */
function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

/** ISO 8601: a date, or a date and a time with its offset from UTC. */
function isTimestamp(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text) && !Number.isNaN(Date.parse(text))
}

/** `host:port`, `[::1]:9464` for IPv6. */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host !== undefined && port <= 65_535 ? { host, port } : undefined
}

export function splitList(text: string): string[] {
  return text.split(',').map(part => part.trim())
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text
}

/** An IP address, or one with the length of its network's prefix. */
function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || rest.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128))
}
