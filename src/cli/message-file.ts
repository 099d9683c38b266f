import { readFileSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import type { SourceRecord } from '../compiler/plan.ts'
import { CommandFailure } from './failure.ts'
import { findJsonFault, showJsonFault } from './json-fault.ts'

/** A file, or stdin for `-`, as the record that a broker would deliver. */
export async function readMessageFile(path: string, topic: string, shape: 'value' | 'message'): Promise<SourceRecord> {
  const bytes = await readBytes(path)
  const record = { topic, partition: 0, offset: 0, timestamp: Date.now() }
  if (shape === 'value') return { ...record, key: null, value: bytes, headers: {} }
  const { key = null, value = null, headers = {} } = asMessage(path, parse(path, bytes.toString('utf8')))
  return { ...record, key: key === null ? null : Buffer.from(String(key)), value: valueBytes(value), headers: headerBytes(path, headers) }
}

/**
 * A dead letter, or a message that waits for a retry, as the message that the routes see when it comes back. Its headers say so: in a file as text,
 * numbers in decimal. Undefined for any other message.
 */
export function originalOf({ headers, ...record }: SourceRecord): SourceRecord | undefined {
  const text = (name: string): string | undefined => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined
    return Buffer.isBuffer(value) ? value.toString('utf8') : undefined
  }
  const number = (name: string, otherwise: number): number => {
    const digits = text(name)
    return digits !== undefined && /^\d{1,15}$/.test(digits) ? Number(digits) : otherwise
  }
  const topic = text('kafka_dlt-original-topic')
  if (topic === undefined) return undefined
  const own = Object.entries(headers).filter(([name]) => !/^(kafka_dlt-|signalbox-|retry_topic-)/.test(name))
  return {
    ...record,
    topic,
    partition: number('kafka_dlt-original-partition', 0),
    offset: number('kafka_dlt-original-offset', 0),
    timestamp: number('kafka_dlt-original-timestamp', record.timestamp),
    headers: Object.fromEntries(own),
  }
}

async function readBytes(path: string): Promise<Buffer> {
  if (path === '-') return Buffer.from(await readAll(process.stdin), 'utf8')
  try {
    return readFileSync(path)
  } catch (error) {
    throw new CommandFailure(2, `${path} does not exist or cannot be read`, undefined, error)
  }
}

/** JSON of a file. Throws CommandFailure with the place where it is wrong. */
function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const fault = findJsonFault(text)
    const { line, column, frame } = showJsonFault(text, fault)
    const indented = frame.replaceAll(/^/gm, '  ')
    throw new CommandFailure(1, `${path}:${line}:${column}: expected ${fault.expected}\n\n${indented}\n`, undefined, error)
  }
}

interface MessageParts {
  readonly key?: unknown
  readonly value?: unknown
  readonly headers?: object
}

const parts = ['headers', 'key', 'value']

function asMessage(path: string, content: unknown): MessageParts {
  const isMap = typeof content === 'object' && content !== null && !Array.isArray(content)
  const unknown = isMap ? Object.keys(content).find(name => !parts.includes(name)) : undefined
  if (!isMap || unknown !== undefined) {
    const wrong = unknown === undefined ? 'is not an object' : `has a part \`${unknown}\``
    throw new CommandFailure(1, `${path} ${wrong}`, 'with --message the file is { "headers": {}, "key": "7", "value": { ... } }')
  }
  const headers = 'headers' in content ? content.headers : undefined
  if (headers !== undefined && (typeof headers !== 'object' || headers === null || Array.isArray(headers)))
    throw new CommandFailure(1, `${path}: \`headers\` must be an object`, 'write { "headers": { "content-type": "application/json" } }')
  return {
    ...('key' in content ? { key: content.key } : {}),
    ...('value' in content ? { value: content.value } : {}),
    ...(headers === undefined ? {} : { headers }),
  }
}

/** Text stands for itself, so that values that are not JSON can be given too; anything else is sent as JSON. */
function valueBytes(value: unknown): Buffer | null {
  if (value === null) return null
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value), 'utf8')
}

function headerBytes(path: string, headers: object): Record<string, Buffer> {
  const bytes: Record<string, Buffer> = Object.create(null)
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'object') throw new CommandFailure(1, `${path}: the header \`${name}\` must be a text or a number`)
    bytes[name] = Buffer.from(String(value), 'utf8')
  }
  return bytes
}
