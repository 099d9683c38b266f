import type { Subscription } from '../channels.ts'
import type { Connection } from '../connection.ts'
import { type Fields, ownText, ownValue } from '../json-fields.ts'
import { Resumable, type ResumeContext, type StoppedAt } from './resumable.ts'
import { SocketPositions } from './socket-positions.ts'
import { makeTracker } from './tracker.ts'

/** `router:track`: from now on the client is told where it stands in channels with history, and its new subscriptions wait for `router:resume`. */
export function track(connection: Connection, context: ResumeContext): void {
  if (connection.tracker !== undefined) return
  const positions = new SocketPositions(() => connection.outbox.wake())
  connection.tracker = makeTracker(positions, context.settings)
  connection.outbox.trailer = () => positions.frames()
  for (const subscription of connection.subscriptions.values()) makeResumable(subscription, context)?.startNow()
}

/** Gives a subscription to a channel with history its place; undefined where the client keeps no track, or the channel no history. */
export function makeResumable(subscription: Subscription, context: ResumeContext): Resumable | undefined {
  const { tracker } = subscription.connection
  if (tracker === undefined || subscription.channel.history === undefined) return undefined
  subscription.resumable ??= new Resumable(subscription, tracker, context)
  return subscription.resumable
}

/**
 * `router:resume { channel, epoch, serial, received?, socket_id? }`, or without a position: from now on; with `returning: true` from whoever was here before
 * and was not told where it stood. Answers with what is wrong with it.
 */
export function resume(connection: Connection, data: Fields | undefined): string | undefined {
  const name = data === undefined ? undefined : ownText(data, 'channel')
  const subscription = name === undefined ? undefined : connection.subscriptions.get(name)
  if (data === undefined || subscription === undefined) return '`router:resume` needs a `channel` that this connection has subscribed to'
  if (connection.tracker === undefined) return '`router:resume` needs `router:track` before'
  const from = readStop(data)
  if (from === 'invalid') return '`router:resume` takes a text `epoch`, and numbers `serial` and `received`'
  // A channel that keeps nothing has nothing to go on with.
  if (from === undefined) subscription.resumable?.startNow()
  else if (from === 'unknown') subscription.resumable?.resume(from)
  else if (subscription.resumable !== undefined) subscription.resumable.resume(from)
  else return 'This channel has no history'
  return undefined
}

function readStop(data: Fields): StoppedAt | 'unknown' | 'invalid' | undefined {
  const epoch = ownValue(data, 'epoch')
  const serial = ownValue(data, 'serial')
  if (epoch === undefined && serial === undefined) return ownValue(data, 'returning') === true ? 'unknown' : undefined
  const received = ownValue(data, 'received') ?? 0
  if (typeof epoch !== 'string' || epoch.length > 64 || !isCount(serial) || !isCount(received)) return 'invalid'
  return { epoch, serial, received, socketId: ownText(data, 'socket_id') }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
