import type { IncomingMessage } from 'node:http'
import { readJsonBody } from './json-body.ts'
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
  /** As UTF-8. */
  readonly headers?: Readonly<Record<string, string>>
}

const keys: Readonly<Record<'event' | 'raw', readonly string[]>> = {
  event: ['topic', 'event', 'data', 'key', 'id'],
  raw: ['topic', 'raw', 'key', 'headers'],
}

const mostBodyBytes = 1024 * 1024
const longestText = 1000

/** Reads the body of `POST /api/publish`. Rejects with RequestRefused. */
export async function readPublishRequest(request: IncomingMessage): Promise<PublishRequest> {
  const body = await readJsonBody(request, mostBodyBytes)
  const raw = text(body, 'raw', mostBodyBytes)
  const known = keys[raw === undefined ? 'event' : 'raw']
  const unknownKey = Object.keys(body).find(key => !known.includes(key))
  if (unknownKey !== undefined) throw new RequestRefused(400, `"${unknownKey}" is not known here; expected ${known.join(', ')}`)
  const key = text(body, 'key')
  if (raw !== undefined) {
    const headers = readHeaders(body)
    return { topic: needed(body, 'topic'), raw, ...(key === undefined ? {} : { key }), ...(headers === undefined ? {} : { headers }) }
  }
  const id = text(body, 'id')
  return {
    topic: needed(body, 'topic'),
    event: needed(body, 'event'),
    data: body['data'] ?? null,
    ...(key === undefined ? {} : { key }),
    ...(id === undefined ? {} : { id }),
  }
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

function readHeaders(body: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | undefined {
  const given = Object.hasOwn(body, 'headers') ? body['headers'] : undefined
  if (given === undefined) return undefined
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new RequestRefused(400, '"headers" must be a map')
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'string') throw new RequestRefused(400, `the header "${name}" must be a text`)
    headers[name] = value
  }
  return headers
}
