import type { IncomingMessage } from 'node:http'
import { RequestRefused } from './request-guard.ts'

/** What somebody wants to send: an event, or a record as it is. */
export type PublishRequest = EventRequest | RawRequest

interface EventRequest {
  readonly topic: string
  readonly key?: string
  readonly id?: string
  readonly event: string
  /** Any JSON value. */
  readonly data: unknown
}

interface RawRequest {
  readonly topic: string
  readonly key?: string
  /** The record's whole value. */
  readonly raw: string
}

const keys: Readonly<Record<'event' | 'raw', readonly string[]>> = {
  event: ['topic', 'event', 'data', 'key', 'id'],
  raw: ['topic', 'raw', 'key'],
}

const mostBodyBytes = 1024 * 1024
/** A body that is too large is still read up to here: a sender that is cut off while it writes does not see the answer. */
const mostDrainedBytes = 8 * mostBodyBytes
const longestText = 1000

/** Reads the body of `POST /api/publish`. Rejects with RequestRefused. */
export async function readPublishRequest(request: IncomingMessage): Promise<PublishRequest> {
  if (!/^application\/json(?:;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new RequestRefused(415, 'the body must be JSON, with content-type application/json')
  }
  const body = parseBody(await readBody(request))
  const raw = text(body, 'raw', mostBodyBytes)
  const known = keys[raw === undefined ? 'event' : 'raw']
  const unknownKey = Object.keys(body).find(key => !known.includes(key))
  if (unknownKey !== undefined) throw new RequestRefused(400, `"${unknownKey}" is not known here; expected ${known.join(', ')}`)
  const key = text(body, 'key')
  if (raw !== undefined) return { topic: needed(body, 'topic'), raw, ...(key === undefined ? {} : { key }) }
  const id = text(body, 'id')
  return {
    topic: needed(body, 'topic'),
    event: needed(body, 'event'),
    data: body['data'] ?? null,
    ...(key === undefined ? {} : { key }),
    ...(id === undefined ? {} : { id }),
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size <= mostBodyBytes) chunks.push(bytes)
    else if (size > mostDrainedBytes) break
  }
  if (size > mostBodyBytes) throw new RequestRefused(413, 'the body is larger than 1mb')
  return Buffer.concat(chunks).toString('utf8')
}

function parseBody(body: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (error) {
    throw new RequestRefused(400, `the body is not valid JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RequestRefused(400, 'the body must be a JSON object')
  return Object.fromEntries(Object.entries(value))
}

function needed(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = text(body, name)
  if (value === undefined || value === '') throw new RequestRefused(400, `"${name}" is missing`)
  return value
}

function text(body: Readonly<Record<string, unknown>>, name: string, longest = longestText): string | undefined {
  const value = Object.hasOwn(body, name) ? body[name] : undefined
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw new RequestRefused(400, `"${name}" must be a text`)
  if (value.length > longest) throw new RequestRefused(400, `"${name}" is longer than ${longest} characters`)
  return value
}
