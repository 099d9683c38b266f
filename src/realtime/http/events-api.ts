import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Broadcaster } from '../broadcaster.ts'
import type { AppChannels } from '../channels.ts'
import type { Counters, RefusalReason } from '../counters.ts'
import { HubError } from '../hub.ts'
import type { LiveSettings } from '../settings.ts'
import { readBody } from './request-body.ts'
import { signatureFault } from './request-signature.ts'
import { respondError, respondJson } from './respond.ts'

const mostChannels = 100
/** A character of the data may take six bytes once it is escaped inside a JSON string; the rest is for the name and the channels. */
const escapedSize = 6
const bodyBesideData = 64 * 1024

export interface EventsApiContext {
  /** By app id. */
  readonly apps: ReadonlyMap<string, AppChannels>
  readonly broadcaster: Broadcaster
  readonly counters: Counters
  readonly settings: LiveSettings
}

interface ApiEvent {
  readonly name: string
  readonly data: string
  readonly channels: ReadonlySet<string>
  readonly except: string | undefined
}

/** A request that is answered with `status` and an error text. */
interface ApiRefusal {
  readonly status: 400 | 401 | 404 | 413
  readonly error: string
}

/** `POST /apps/{id}/events` of Pusher's HTTP API: one event to up to 100 channels. */
export async function serveEvents(
  request: IncomingMessage,
  response: ServerResponse,
  target: URL,
  appId: string,
  context: EventsApiContext,
): Promise<void> {
  const refusal = await publish(request, target, appId, context)
  if (refusal === undefined) return respondJson(response, 200, {})
  const reason: RefusalReason = refusal.status === 401 || refusal.status === 404 ? 'api-auth' : 'api-request'
  context.counters.refused(reason)
  // What is left of a body that is too large is not read.
  respondError(response, refusal.status, refusal.error, refusal.status === 413 ? { connection: 'close' } : {})
}

async function publish(request: IncomingMessage, target: URL, appId: string, context: EventsApiContext): Promise<ApiRefusal | undefined> {
  const { limits } = context.settings
  const app = context.apps.get(appId)?.app
  if (app === undefined) return { status: 404, error: 'There is no app with this id' }
  const read = await readBody(request, limits.apiEvent * escapedSize + bodyBesideData)
  if (read.kind === 'too-large') return { status: 413, error: 'The body is too large' }
  if (read.kind === 'aborted') return { status: 400, error: 'The body ended early' }
  const fault = signatureFault({ method: 'POST', target, body: read.body }, app, Date.now())
  if (fault !== undefined) return { status: 401, error: fault }
  const event = parseEvent(read.body)
  if ('error' in event) return event
  if (Buffer.byteLength(event.data) > limits.apiEvent) {
    return { status: 413, error: `The data of an event has at most ${limits.apiEvent} bytes` }
  }
  try {
    context.broadcaster.broadcastText(appId, event.channels, event.name, event.data, event.except)
  } catch (error) {
    if (error instanceof HubError) return { status: 400, error: error.message }
    throw error
  }
  return undefined
}

function parseEvent(body: Buffer): ApiEvent | ApiRefusal {
  const fields = parseObject(body)
  if (fields === undefined) return { status: 400, error: 'The body must be a JSON object' }
  const name = fields.get('name')
  const data = fields.get('data')
  const except = fields.get('socket_id')
  const channels = channelList(fields.get('channel'), fields.get('channels'))
  if (typeof name !== 'string') return { status: 400, error: '`name` must be a text' }
  if (typeof data !== 'string') return { status: 400, error: '`data` must be a text: encode other values as JSON' }
  if (except !== undefined && except !== null && (typeof except !== 'string' || !/^\d+\.\d+$/.test(except))) {
    return { status: 400, error: '`socket_id` must be a socket id' }
  }
  if (fields.has('info')) return { status: 400, error: '`info` is not available in this version' }
  if (typeof channels === 'string') return { status: 400, error: channels }
  return { name, data, channels, except: typeof except === 'string' ? except : undefined }
}

/** The channels, each once, or what is wrong with them. */
function channelList(channel: unknown, channels: unknown): ReadonlySet<string> | string {
  if ((channel === undefined) === (channels === undefined)) return 'Say either `channel` or `channels`'
  const list: unknown = channels ?? [channel]
  if (!Array.isArray(list) || !list.every(name => typeof name === 'string')) return '`channel` must be a text, `channels` a list of texts'
  if (list.length === 0 || list.length > mostChannels) return `\`channels\` holds 1 to ${mostChannels} names`
  return new Set(list)
}

function parseObject(body: Buffer): ReadonlyMap<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : undefined
  } catch {
    return undefined
  }
}
