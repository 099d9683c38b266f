import type { IncomingMessage, ServerResponse } from 'node:http'
import { BackplaneError } from '../backplane/backplane.ts'
import type { Broadcaster } from '../broadcaster.ts'
import type { AppChannels } from '../channels.ts'
import type { Connections } from '../connections.ts'
import type { Counters } from '../counters.ts'
import type { LiveSettings } from '../settings.ts'
import { listChannels, listUsers, showChannel } from './channels-api.ts'
import { publishBatch, publishEvent } from './events-api.ts'
import { readBody } from './request-body.ts'
import { signatureFault } from './request-signature.ts'
import { respondError, respondJson } from './respond.ts'

/** A character of the data may take six bytes once it is escaped inside a JSON string; the rest is for names and channels. */
const escapedSize = 6
const bodyBesideData = 64 * 1024

export interface ApiContext {
  /** By app id. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly broadcaster: Broadcaster
  readonly connections: Connections
  readonly counters: Counters
  readonly settings: LiveSettings
}

export interface ApiCall {
  readonly app: AppChannels
  readonly body: Buffer
  /** The variable part of the path, decoded. */
  readonly name: string
  readonly query: URLSearchParams
  readonly context: ApiContext
}

/** A request that is answered with `status` and an error text. */
export interface ApiRefusal {
  /** 503: the history of a channel is away, or the other instances. */
  readonly status: 400 | 401 | 404 | 405 | 413 | 503
  readonly error: string
}

export type ApiResult = { readonly body: unknown } | ApiRefusal

interface Operation {
  readonly method: 'GET' | 'POST'
  readonly path: RegExp
  readonly run: (call: ApiCall) => ApiResult | Promise<ApiResult>
}

/** Pusher's HTTP API: its paths below `/apps/{id}`. */
const operations: readonly Operation[] = [
  { method: 'POST', path: /^\/events$/, run: publishEvent },
  { method: 'POST', path: /^\/batch_events$/, run: publishBatch },
  { method: 'GET', path: /^\/channels$/, run: listChannels },
  { method: 'GET', path: /^\/channels\/([^/]+)$/, run: showChannel },
  { method: 'GET', path: /^\/channels\/([^/]+)\/users$/, run: listUsers },
  { method: 'POST', path: /^\/users\/([^/]+)\/terminate_connections$/, run: terminateConnections },
]

/** Answers a request to the HTTP API; false where the path is none of it. */
export async function serveApi(request: IncomingMessage, response: ServerResponse, target: URL, context: ApiContext): Promise<boolean> {
  const [, appId, path] = /^\/apps\/([^/]+)(\/.+)$/.exec(target.pathname) ?? []
  if (appId === undefined || path === undefined) return false
  const fitting = operations.filter(operation => operation.path.test(path))
  if (fitting.length === 0) return false
  const operation = fitting.find(({ method }) => method === request.method)
  const result = operation === undefined ? notAllowed : await perform(request, target, appId, path, operation, context)
  if ('body' in result) {
    respondJson(response, 200, result.body)
    return true
  }
  context.counters.refused(result.status === 401 || result.status === 404 ? 'api-auth' : 'api-request')
  // What is left of a body that is too large is not read.
  const headers: Record<string, string> = result.status === 413 ? { connection: 'close' } : {}
  if (result.status === 405) headers['allow'] = fitting.map(({ method }) => method).join(', ')
  respondError(response, result.status, result.error, headers)
  return true
}

const notAllowed: ApiRefusal = { status: 405, error: 'This method is not for this path' }

async function perform(
  request: IncomingMessage,
  target: URL,
  appId: string,
  path: string,
  operation: Operation,
  context: ApiContext,
): Promise<ApiResult> {
  const { limits } = context.settings
  const app = context.apps.get(appId)
  if (app === undefined) return { status: 404, error: 'There is no app with this id' }
  const events = operation.run === publishBatch ? limits.apiBatch : 1
  const read = await readBody(request, events * limits.apiEvent * escapedSize + bodyBesideData)
  if (read.kind === 'too-large') return { status: 413, error: 'The body is too large' }
  if (read.kind === 'aborted') return { status: 400, error: 'The body ended early' }
  const fault = signatureFault({ method: operation.method, target, body: read.body }, app.app, Date.now())
  if (fault !== undefined) return { status: 401, error: fault }
  const name = decodedPart(operation.path.exec(path)?.[1] ?? '')
  if (name === undefined) return { status: 400, error: 'The path is not properly escaped' }
  try {
    return await operation.run({ app, body: read.body, name, query: target.searchParams, context })
  } catch (error) {
    if (!(error instanceof BackplaneError)) throw error
    return { status: 503, error: 'The other instances cannot be asked at the moment' }
  }
}

function terminateConnections({ app, name, context }: ApiCall): ApiResult {
  context.connections.terminateUser(app, name)
  app.backplane.terminateUser(name)
  return { body: {} }
}

function decodedPart(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}
