import { type RecordHeaders, type RoutePlan, type SourceRecord, type SubscriptionPlan, timestampTypes } from '../compiler/plan.ts'
import { isMap } from './decoded-event.ts'
import { type RouteProgress, readProgress, retryHeaders } from './retry-topic.ts'

/** A dead letter on its way back, or a message whose next try is due, as the record it once was. */
export interface Replay {
  readonly record: SourceRecord
  /** The route that failed; undefined where none was involved: the message then runs as a new one does. */
  readonly route: string | undefined
  /** The action that failed, such as `1:broadcast`; undefined where the route did not come so far. */
  readonly action: string | undefined
  /** What the actions before it had returned. */
  readonly results: Readonly<Record<string, unknown>> | undefined
  /** The tries before; undefined for a dead letter: it has all of them again. */
  readonly progress: RouteProgress | undefined
}

/** The message in a record of a retry topic; a text for a record that is none. */
export function readRetry(record: SourceRecord): Replay | string {
  const progress = readProgress(record)
  const replay = readReplay(record)
  if (typeof replay !== 'object' || progress === undefined) return 'the record has not the headers of a message that waits for a retry'
  const headers = Object.entries(replay.record.headers).filter(([name]) => !retryHeaders.includes(name))
  return { ...replay, record: { ...replay.record, headers: Object.fromEntries(headers) }, progress }
}

/** Undefined for a record that only says that a letter went somewhere else; a text for one that is no dead letter. */
export function readReplay(record: SourceRecord): Replay | string | undefined {
  if (text(record.headers, 'signalbox-replay-to') !== undefined) return undefined
  const topic = text(record.headers, 'kafka_dlt-original-topic')
  const partition = integer(record.headers, 'kafka_dlt-original-partition')
  const offset = integer(record.headers, 'kafka_dlt-original-offset')
  const timestamp = integer(record.headers, 'kafka_dlt-original-timestamp')
  if (topic === undefined || partition === undefined || offset === undefined || timestamp === undefined)
    return 'the record has not the headers of a dead letter'
  const writtenType = text(record.headers, 'kafka_dlt-original-timestamp-type')
  const timestampType = timestampTypes.find(type => type === writtenType)
  const { key, value } = record
  return {
    record: { topic, partition, offset, timestamp, timestampType, key, value, headers: originalHeaders(record.headers) },
    route: text(record.headers, 'signalbox-route'),
    action: text(record.headers, 'signalbox-action'),
    results: resultsOf(record.headers),
    progress: undefined,
  }
}

/** The route as far as it has still to run. A text says why it cannot. */
export function restOfRoute(plan: SubscriptionPlan, { route: id, action, results }: Replay): RoutePlan | string {
  const { unmatched } = plan
  const route = [...plan.routes, ...(unmatched.policy === 'actions' ? [unmatched.route] : [])].find(each => each.id === id)
  if (route === undefined) return `the route ${id} is not there any more`
  if (action === undefined) return route
  const position = route.actions.findIndex(each => `${each.position}:${each.action.kind}` === action)
  if (position === -1) return `the route ${id} has no action ${action} any more`
  if (results === undefined && route.actions.slice(0, position).some(({ as }) => as !== undefined))
    return `the letter does not hold what the actions before ${action} returned`
  return { ...route, actions: route.actions.slice(position) }
}

/** Those that the message itself came with, and how often it was replayed: a further dead letter says so. */
function originalHeaders(headers: RecordHeaders): RecordHeaders {
  const kept = Object.entries(headers).filter(
    ([name]) => name === 'signalbox-replays' || !(name.startsWith('kafka_dlt-') || name.startsWith('signalbox-')),
  )
  return Object.fromEntries(kept)
}

function text(headers: RecordHeaders, name: string): string | undefined {
  return bytes(headers, name)?.toString('utf8')
}

/** Big-endian, of 4 or 8 bytes. */
function integer(headers: RecordHeaders, name: string): number | undefined {
  const value = bytes(headers, name)
  const number = value?.length === 4 ? value.readInt32BE() : value?.length === 8 ? Number(value.readBigInt64BE()) : undefined
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined
}

function bytes(headers: RecordHeaders, name: string): Buffer | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  return Buffer.isBuffer(value) ? value : value?.at(-1)
}

function resultsOf(headers: RecordHeaders): Readonly<Record<string, unknown>> | undefined {
  const written = text(headers, 'signalbox-results')
  if (written === undefined) return undefined
  try {
    const value: unknown = JSON.parse(written)
    return isMap(value) ? Object.assign(Object.create(null), value) : undefined
  } catch {
    return undefined
  }
}
