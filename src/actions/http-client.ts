import { type LookupAddress, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { Agent, buildConnector, type Dispatcher, request as send } from 'undici'
import type { HttpConfig } from '../config/router-config.ts'
import { addressFault, hostFault, isAllowedAddress } from './address-rules.ts'
import { HttpFailure, retryAfterMs } from './http-failure.ts'
import type { HttpAnswer, HttpPort, HttpRequest } from './ports.ts'

const connectTimeoutMs = 10_000
const mostConnectionsPerHost = 64
const mostRedirects = 5
/** Characters of an answer that a failure quotes. */
const quotedLength = 200

/** Calls addresses that `rules` allow; they are read at every request, so that an edit of router.yaml applies at once. */
export function createHttpClient(rules: () => HttpConfig): HttpPort & { close(): Promise<void> } {
  const agent = new Agent({
    connect: guardedConnector(rules),
    connections: mostConnectionsPerHost,
    // The attempt's own time-out is the one that holds.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  return {
    send: (request, signal) => follow({ agent, rules: rules(), signal, redirects: 0 }, request),
    close: () => agent.destroy(),
  }
}

interface Call {
  readonly agent: Agent
  readonly rules: HttpConfig
  readonly signal: AbortSignal
  readonly redirects: number
}

async function follow(call: Call, request: HttpRequest): Promise<HttpAnswer | null> {
  const { method, body } = request
  const url = new URL(request.url)
  const name = `${method} ${url.host}`
  const fault = hostFault(url.hostname, call.rules)
  if (fault !== undefined) throw new HttpFailure(`${name}: ${fault.message}. ${fault.hint}`, { permanent: true })
  let response: Dispatcher.ResponseData
  try {
    response = await send(url, {
      dispatcher: call.agent,
      method,
      headers: request.headers,
      signal: call.signal,
      ...(body === undefined ? {} : { body }),
    })
  } catch (error) {
    throw failedCall(name, error)
  }
  const { statusCode: status } = response
  if (status >= 200 && status < 300) return request.keepsAnswer ? readAnswer(response, call.rules, name) : await discard(response)
  const location = response.headers['location']
  if (status > 300 && status < 400 && typeof location === 'string' && URL.canParse(location, url.href) && maySendAgain(method, status)) {
    await discard(response)
    return redirect(call, request, new URL(location, url), name)
  }
  throw await refusal(response, name)
}

/** Only a call that reads may turn into another one: for the others the answer has to say that the same is meant (307, 308). */
function maySendAgain(method: string, status: number): boolean {
  return status === 307 || status === 308 || method === 'GET' || method === 'HEAD'
}

function redirect(call: Call, request: HttpRequest, to: URL, name: string): Promise<HttpAnswer | null> {
  const from = new URL(request.url)
  const isSecure = to.protocol === 'https:' || to.protocol === from.protocol
  if (call.redirects >= mostRedirects) throw new HttpFailure(`${name}: more than ${mostRedirects} redirects`, { permanent: true })
  if (!/^https?:$/.test(to.protocol) || !isSecure || to.username !== '' || to.password !== '')
    throw new HttpFailure(`${name}: redirected to an address that is not followed (${to.protocol}//${to.host})`, { permanent: true })
  // What proves something to one host, such as a token or a signature, is not for another one.
  const headers = to.origin === from.origin ? request.headers : forStrangers(request.headers)
  return follow({ ...call, redirects: call.redirects + 1 }, { ...request, url: to.href, headers })
}

/** The idempotency key among them: it opens nothing, and the call must not lose what keeps it from happening twice. */
const harmless = ['content-type', 'user-agent', 'accept', 'idempotency-key']

function forStrangers(headers: HttpRequest['headers']): HttpRequest['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => harmless.includes(name)))
}

async function readAnswer(response: Dispatcher.ResponseData, rules: HttpConfig, name: string): Promise<HttpAnswer> {
  const { body, statusCode: status } = response
  const { bytes, isWhole } = await readStart(body, rules.responseBytes, name)
  if (!isWhole) throw new HttpFailure(`${name}: the answer is larger than ${rules.responseBytes} bytes`, { permanent: true, status })
  const headers: Record<string, string> = Object.create(null)
  for (const [key, value] of Object.entries(response.headers))
    if (value !== undefined) headers[key] = Array.isArray(value) ? value.join(', ') : value
  return { status, headers, body: parseBody(bytes, headers['content-type'] ?? '') }
}

/** JSON as what it says, texts as texts, other bytes as a Buffer, nothing as null. */
function parseBody(bytes: Buffer, contentType: string): unknown {
  if (bytes.length === 0) return null
  const text = bytes.toString('utf8')
  if (/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  }
  return /^text\/|^application\/(?:xml|x-www-form-urlencoded)\b/i.test(contentType) ? text : bytes
}

async function refusal({ statusCode: status, headers, body }: Dispatcher.ResponseData, name: string): Promise<HttpFailure> {
  const start = await readStart(body, 4 * quotedLength, name).catch(() => undefined)
  const said = start?.bytes.toString('utf8').replaceAll(/\s+/g, ' ').trim().slice(0, quotedLength) ?? ''
  const waitMs = retryAfterMs(headers['retry-after'], Date.now())
  return new HttpFailure(`${name} answered ${status}${said === '' ? '' : `: ${said}`}`, {
    status,
    permanent: status < 500 && ![408, 425, 429].includes(status),
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  })
}

async function readStart(body: Dispatcher.ResponseData['body'], most: number, name: string): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body) {
      const bytes = Buffer.from(chunk)
      chunks.push(bytes)
      size += bytes.length
      // Leaving the loop closes the connection: the rest of the answer is not read.
      if (size > most) return { bytes: Buffer.concat(chunks).subarray(0, most), isWhole: false }
    }
  } catch (error) {
    throw failedCall(name, error)
  }
  return { bytes: Buffer.concat(chunks), isWhole: true }
}

/** Reads a short answer to its end, so that the connection can be used again. */
async function discard({ body }: Dispatcher.ResponseData): Promise<null> {
  await body.dump().catch(() => {})
  return null
}

function failedCall(name: string, error: unknown): Error {
  if (error instanceof HttpFailure) return new HttpFailure(`${name}: ${error.message}`, { permanent: error.permanent, cause: error })
  return new HttpFailure(`${name}: ${describe(error)}`, { permanent: isMistake(error), cause: error })
}

/** A request that no server could take. */
function isMistake(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'UND_ERR_INVALID_ARG'
}

/** Several addresses that all refuse give an error without a message of its own. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.message !== '') return error.message
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

/** Addresses are checked where the connection is made: after DNS, after redirects, and so that no second answer of DNS can differ. */
function guardedConnector(rules: () => HttpConfig): buildConnector.connector {
  const connect = buildConnector({ timeout: connectTimeoutMs, lookup: guardedLookup(rules) })
  return (options, callback) => {
    const fault = hostFault(options.hostname, { ...rules(), hosts: undefined })
    if (fault === undefined) connect(options, callback)
    else callback(new HttpFailure(`${fault.message}. ${fault.hint}`, { permanent: true }), null)
  }
}

function guardedLookup(rules: () => HttpConfig): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
      const allowed = error === null ? found.filter(({ address }) => isAllowedAddress(address, rules())) : []
      const [first] = allowed
      if (error !== null) callback(error, [])
      else if (first === undefined) {
        const fault = addressFault(hostname, found[0]?.address)
        callback(new HttpFailure(`${fault.message}. ${fault.hint}`, { permanent: true }), [])
      } else if (options.all === true) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}
