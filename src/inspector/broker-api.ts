import type { IncomingMessage } from 'node:http'
import { type Broker, BrokerError, type OutgoingRecord, type TopicPartition, type TopicPartitionOffset } from '../brokers/broker.ts'
import { readJsonBody } from './json-body.ts'
import { readSome } from './read-some.ts'
import { RequestRefused } from './request-guard.ts'

/** What another process may ask of the embedded broker: everything that `router dlq` and `router offsets` ask of one. */
export type BrokerCall =
  | { readonly call: 'listTopics' }
  | { readonly call: 'topicOffsets'; readonly topic: string }
  | { readonly call: 'offsetsSince'; readonly topic: string; readonly timestamp: number }
  | { readonly call: 'committedOffsets'; readonly group: string; readonly topics: readonly string[] }
  | { readonly call: 'setOffsets'; readonly group: string; readonly offsets: readonly TopicPartitionOffset[] }
  | { readonly call: 'produce'; readonly record: WireRecord }
  | ({ readonly call: 'read'; readonly start: number; readonly end: number } & TopicPartition)

/** Bytes as base64. */
export interface WireRecord {
  readonly topic: string
  readonly partition?: number
  readonly offset?: number
  readonly timestamp?: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string | readonly string[]>>
}

/** Two records of the largest size, in base64. */
const mostBodyBytes = 4 * 1024 * 1024

/** A broker inside the router. */
export interface EmbeddedBroker {
  readonly broker: Broker
  /** Does something while the router reads nothing in a group, and lets it go on afterwards: offsets are set only then. */
  whileStopped(group: string, work: () => Promise<void>): Promise<void>
}

/** Reads and does what `POST /api/broker` asks. Rejects with RequestRefused or BrokerError. */
export async function answerBrokerCall({ broker, whileStopped }: EmbeddedBroker, request: IncomingMessage): Promise<unknown> {
  const body = await readJsonBody(request, mostBodyBytes)
  const field = new Fields(body)
  switch (body['call']) {
    case 'listTopics':
      return broker.listTopics()
    case 'topicOffsets':
      return broker.topicOffsets(field.text('topic'))
    case 'offsetsSince':
      return broker.offsetsSince(field.text('topic'), field.number('timestamp'))
    case 'committedOffsets':
      return broker.committedOffsets(field.text('group'), field.list('topics').map(String))
    case 'setOffsets': {
      const group = field.text('group')
      const offsets = field.list('offsets').map(readOffset)
      await whileStopped(group, () => broker.setOffsets(group, offsets))
      return null
    }
    case 'produce':
      await broker.produce(readRecord(new Fields(field.map('record'))))
      return null
    case 'read': {
      const part = {
        topic: field.text('topic'),
        partition: field.number('partition'),
        start: field.number('start'),
        end: field.number('end'),
      }
      const { records, next } = await readSome(broker, part)
      return { records: records.map(writeRecord), next }
    }
    default:
      throw new RequestRefused(400, '"call" is not known here')
  }
}

/** A broker's refusal as an answer that the other process can turn back into one. */
export function brokerFault(error: unknown): object | undefined {
  return error instanceof BrokerError ? { error: error.message, code: error.code, retriable: error.retriable } : undefined
}

function readOffset(value: unknown): TopicPartitionOffset {
  const field = new Fields(value)
  return { topic: field.text('topic'), partition: field.number('partition'), offset: field.number('offset') }
}

function readRecord(field: Fields): OutgoingRecord {
  const headers: Record<string, Buffer | readonly Buffer[]> = Object.create(null)
  for (const [name, value] of Object.entries(field.map('headers')))
    headers[name] = Array.isArray(value) ? value.map(each => Buffer.from(String(each), 'base64')) : Buffer.from(String(value), 'base64')
  const partition = field.optionalNumber('partition')
  return {
    topic: field.text('topic'),
    key: field.bytes('key'),
    value: field.bytes('value'),
    headers,
    ...(partition === undefined ? {} : { partition }),
  }
}

function writeRecord({ key, value, headers, ...place }: Awaited<ReturnType<typeof readSome>>['records'][number]): WireRecord {
  const encode = (bytes: Buffer) => bytes.toString('base64')
  return {
    ...place,
    key: key === null ? null : encode(key),
    value: value === null ? null : encode(value),
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, bytes]) => [name, Buffer.isBuffer(bytes) ? encode(bytes) : bytes.map(encode)]),
    ),
  }
}

/** Fields of a request's body; each getter throws RequestRefused for one that is not of its type. */
class Fields {
  readonly #map: Readonly<Record<string, unknown>>

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RequestRefused(400, 'a map is missing')
    this.#map = Object.fromEntries(Object.entries(value))
  }

  text(name: string): string {
    return this.#read(name, 'a text', value => (typeof value === 'string' ? value : undefined))
  }

  number(name: string): number {
    return this.#read(name, 'a whole number', value => (Number.isSafeInteger(value) ? Number(value) : undefined))
  }

  optionalNumber(name: string): number | undefined {
    return this.#value(name) === undefined ? undefined : this.number(name)
  }

  list(name: string): readonly unknown[] {
    return this.#read(name, 'a list', value => (Array.isArray(value) ? value : undefined))
  }

  map(name: string): Readonly<Record<string, unknown>> {
    return this.#read(name, 'a map', value =>
      typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined,
    )
  }

  bytes(name: string): Buffer | null {
    return this.#value(name) === null ? null : Buffer.from(this.text(name), 'base64')
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#map, name) ? this.#map[name] : undefined
  }

  #read<T>(name: string, expected: string, parse: (value: unknown) => T | undefined): T {
    const parsed = parse(this.#value(name))
    if (parsed === undefined) throw new RequestRefused(400, `"${name}" must be ${expected}`)
    return parsed
  }
}
