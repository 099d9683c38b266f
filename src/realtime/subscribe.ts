import { performance } from 'node:perf_hooks'
import type { Channel, Subscription } from './channels.ts'
import { type Connection, sendMessage } from './connection.ts'
import type { Counters } from './counters.ts'
import { eventFrame } from './frame.ts'
import { type Member, rosterJson } from './presence.ts'
import type { ResumeContext } from './resume/resumable.ts'
import { makeResumable } from './resume/resume-messages.ts'
import { type Access, type AccessContext, type Claim, type SubscriptionRefusal, subscriptionAccess } from './subscription-access.ts'

export interface SubscribeContext extends AccessContext {
  readonly counters: Counters
  readonly resuming: ResumeContext
  /** A cache channel was subscribed to and holds nothing. */
  readonly cacheMissed: (connection: Connection, channel: Channel) => void
}

/** Acts on a wish to subscribe, and answers it, at once where it can. */
export function subscribe(connection: Connection, name: string, claim: Claim, context: SubscribeContext): void {
  const existing = connection.subscriptions.get(name)
  if (existing !== undefined) {
    confirm(existing, context)
    return
  }
  // The answer to the first wish is on its way.
  if (connection.pending?.has(name) === true) return
  const access = subscriptionAccess(connection, name, claim, context)
  if (access.kind !== 'ask') {
    settle(connection, name, access, context)
    return
  }
  const decision = new AbortController()
  connection.pending ??= new Map()
  connection.pending.set(name, decision)
  void access.ask(decision.signal).then(answer => {
    if (connection.pending?.get(name) === decision) connection.pending.delete(name)
    if (!decision.signal.aborted) settle(connection, name, answer, context)
  })
}

export function unsubscribe(connection: Connection, name: string): void {
  connection.pending?.get(name)?.abort()
  connection.pending?.delete(name)
  connection.app.unsubscribe(connection, name)
}

function settle(connection: Connection, name: string, access: Access, context: SubscribeContext): void {
  if (access.kind === 'granted') join(connection, name, access.member, context)
  if (access.kind === 'refused') {
    context.counters.refused(access.refusal.reason)
    sendRefusal(connection, name, access.refusal)
  }
}

/** Subscribes without asking, and confirms. */
export function join(connection: Connection, name: string, member: Member | undefined, context: SubscribeContext): void {
  connection.isUsed = true
  connection.app.subscribe(connection, name, member)
  const subscription = connection.subscriptions.get(name)
  if (subscription === undefined) return
  makeResumable(subscription, context.resuming)?.hold()
  confirm(subscription, context)
}

function confirm({ connection, channel, resumable }: Subscription, context: SubscribeContext): void {
  const { backplane } = connection.app
  const data = channel.members === undefined ? '{}' : rosterJson(channel.members, backplane.membersElsewhere(channel.name))
  sendMessage(connection, { event: 'pusher_internal:subscription_succeeded', channel: channel.name, data })
  if (!channel.kind.cached) return
  const cached = connection.app.cache.get(channel.name, performance.now())
  if (cached === undefined) {
    sendMessage(connection, { event: 'pusher:cache_miss', channel: channel.name })
    context.cacheMissed(connection, channel)
    return
  }
  const frame = eventFrame(cached.event, channel.nameBytes, cached.data)
  if (resumable === undefined) connection.outbox.push(frame)
  else resumable.greet(frame)
}

function sendRefusal(connection: Connection, channel: string, { type, error, status }: SubscriptionRefusal): void {
  sendMessage(connection, { event: 'pusher:subscription_error', channel, data: { type, error, status } })
}
