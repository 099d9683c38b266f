import { BackplaneError, type Occupancy } from '../backplane/backplane.ts'
import type { AppChannels } from '../channels.ts'
import { HistoryUnavailable } from '../history/history.ts'
import { HubError } from '../hub.ts'
import { type Fields, isObject, ownValue, parseObject } from '../json-fields.ts'
import type { ApiCall, ApiRefusal, ApiResult } from './api.ts'
import { attributesOf, type ChannelAttribute, readAttributes } from './channel-attributes.ts'

interface ApiEvent {
  readonly name: string
  readonly data: string
  readonly channels: readonly string[]
  readonly except: string | undefined
  readonly info: ReadonlySet<ChannelAttribute>
}

/** `POST /events`: one event to several channels. */
export async function publishEvent(call: ApiCall): Promise<ApiResult> {
  const fields = parseObject(call.body.toString('utf8'))
  if (fields === undefined) return badRequest('The body must be a JSON object')
  const event = readEvent(fields, channelList(fields, call.context.settings.limits.apiChannels))
  if ('error' in event) return event
  const prepared = prepare(event, call)
  if ('error' in prepared) return prepared
  const refusal = await kept(prepared.send())
  if (refusal !== undefined) return refusal
  if (event.info.size === 0) return { body: {} }
  const occupancy = await occupancyAfter(call.app, event.channels)
  const described = event.channels.map((name, index) => [name, attributesOf(call.app, name, occupancy[index], event.info)])
  return { body: { channels: Object.fromEntries(described) } }
}

/** `POST /batch_events`: several events to one channel each. All are checked before the first is sent. */
export async function publishBatch(call: ApiCall): Promise<ApiResult> {
  const most = call.context.settings.limits.apiBatch
  const batch = ownValue(parseObject(call.body.toString('utf8')) ?? {}, 'batch')
  if (!Array.isArray(batch)) return badRequest('The body must be a JSON object with a list `batch`')
  if (batch.length === 0 || batch.length > most) return badRequest(`\`batch\` holds 1 to ${most} events`)
  const events: ApiEvent[] = []
  const sends: (() => readonly Promise<void>[])[] = []
  for (const [index, entry] of batch.entries()) {
    const channel = isObject(entry) ? ownValue(entry, 'channel') : undefined
    if (!isObject(entry) || typeof channel !== 'string') return badRequest(`batch.${index} must be an object with a text \`channel\``)
    const event = readEvent(entry, [channel])
    const prepared = 'error' in event ? event : prepare(event, call)
    if ('error' in prepared) return { ...prepared, error: `batch.${index}: ${prepared.error}` }
    if (!('error' in event)) events.push(event)
    sends.push(prepared.send)
  }
  const refusal = await kept(sends.flatMap(send => send()))
  if (refusal !== undefined) return refusal
  if (events.every(({ info }) => info.size === 0)) return { body: {} }
  const names = events.map(({ channels: [name = ''] }) => name)
  const occupancy = await occupancyAfter(call.app, names)
  return { body: { batch: events.map(({ info }, index) => attributesOf(call.app, names[index] ?? '', occupancy[index], info)) } }
}

/** The events are out, and nobody is to send them again: where the other instances cannot be asked, this one's subscribers are told alone. */
async function occupancyAfter({ backplane, channels: here }: AppChannels, channels: readonly string[]): Promise<readonly Occupancy[]> {
  try {
    return await backplane.occupancy(channels)
  } catch (error) {
    if (!(error instanceof BackplaneError)) throw error
    return channels.map(name => ({ subscriptions: here.get(name)?.subscriptions.length ?? 0, users: here.get(name)?.members?.size ?? 0 }))
  }
}

/** Waits for the histories of channels that have one. */
async function kept(pending: readonly Promise<void>[]): Promise<ApiRefusal | undefined> {
  if (pending.length === 0) return undefined
  for (const result of await Promise.allSettled(pending)) {
    if (result.status === 'fulfilled') continue
    if (!(result.reason instanceof HistoryUnavailable)) throw result.reason
    return { status: 503, error: 'The history of a channel is away: the event may not have been sent' }
  }
  return undefined
}

function prepare(event: ApiEvent, { app, context }: ApiCall): { send(): readonly Promise<void>[] } | ApiRefusal {
  try {
    return context.broadcaster.prepareText(app.app.id, event.channels, event.name, event.data, event.except)
  } catch (error) {
    if (error instanceof HubError) return { status: error.code === 'data-too-large' ? 413 : 400, error: error.message }
    throw error
  }
}

function readEvent(fields: Fields, channels: readonly string[] | string): ApiEvent | ApiRefusal {
  const name = ownValue(fields, 'name')
  const data = ownValue(fields, 'data')
  const except = ownValue(fields, 'socket_id')
  if (typeof name !== 'string') return badRequest('`name` must be a text')
  if (typeof data !== 'string') return badRequest('`data` must be a text: encode other values as JSON')
  if (except !== undefined && except !== null && (typeof except !== 'string' || !/^\d+\.\d+$/.test(except))) {
    return badRequest('`socket_id` must be a socket id')
  }
  if (typeof channels === 'string') return badRequest(channels)
  const info = readAttributes(ownValue(fields, 'info'))
  if (typeof info === 'string') return badRequest(info)
  return { name, data, channels, except: typeof except === 'string' ? except : undefined, info }
}

/** The channels, each once, or what is wrong with them. */
function channelList(fields: Fields, most: number): readonly string[] | string {
  const channel = ownValue(fields, 'channel')
  const channels = ownValue(fields, 'channels')
  if ((channel === undefined) === (channels === undefined)) return 'Say either `channel` or `channels`'
  const list: unknown = channels ?? [channel]
  if (!Array.isArray(list) || !list.every(name => typeof name === 'string')) return '`channel` must be a text, `channels` a list of texts'
  if (list.length === 0 || list.length > most) return `\`channels\` holds 1 to ${most} names`
  return [...new Set(list)]
}

function badRequest(error: string): ApiRefusal {
  return { status: 400, error }
}
