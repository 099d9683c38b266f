import type { IncomingMessage } from 'node:http'
import { RequestRefused } from './request-guard.ts'

/** A body that is too large is still read this many times as far: a sender that is cut off while it writes does not see the answer. */
const drainedTimes = 8

/** Reads a JSON object. Rejects with RequestRefused. */
export async function readJsonBody(request: IncomingMessage, mostBytes: number): Promise<Readonly<Record<string, unknown>>> {
  if (!/^application\/json(?:;|$)/i.test(request.headers['content-type'] ?? ''))
    throw new RequestRefused(415, 'the body must be JSON, with content-type application/json')
  return parseBody(await readBody(request, mostBytes))
}

async function readBody(request: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size <= mostBytes) chunks.push(bytes)
    else if (size > drainedTimes * mostBytes) break
  }
  if (size > mostBytes) throw new RequestRefused(413, `the body is larger than ${mostBytes / 1024 / 1024}mb`)
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
