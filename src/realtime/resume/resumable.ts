import { performance } from 'node:perf_hooks'
import type { Channel, Subscription } from '../channels.ts'
import { type Connection, sendMessage } from '../connection.ts'
import type { Counters, ResumeFailure } from '../counters.ts'
import type { ChannelEvent } from '../delivery.ts'
import { type ByteString, eventFrame, jsonBytes } from '../frame.ts'
import type { History, Position, Replay } from '../history/history.ts'
import type { LiveSettings } from '../settings.ts'
import { HeldBack } from './held-back.ts'
import { type Missed, missedEvents } from './missed-events.ts'
import type { Tracker } from './tracker.ts'

/** Resumes a second from one client, on average: each may cost a whole history. After a reconnect all channels come at once. */
const resumesPerSecond = 10

export interface ResumeContext {
  readonly history: History
  readonly counters: Counters
  readonly settings: LiveSettings
}

/** What a client has told of where it stopped. */
export interface StoppedAt extends Position {
  /** Events it has got after the position. */
  readonly received: number
  /** The socket id it had: what was not for that socket is not for it. */
  readonly socketId: string | undefined
}

/** An answer of the history on its way to the client. */
interface Asked {
  readonly missed: readonly Missed[]
  readonly from: StoppedAt
  readonly upTo: Position
}

/**
 * A subscription of a client that keeps track, to a channel with history. What is sent to the channel is held back until the client has said from
 * where it goes on, or has had its time to: then comes what it missed, then what was held, then what comes, each event once and in order.
 */
export class Resumable {
  readonly channel: Channel
  readonly #connection: Connection
  readonly #tracker: Tracker
  readonly #context: ResumeContext
  /** `starting`: it has been said that the client goes on from here; where that is, is being asked. */
  #state: 'waiting' | 'replaying' | 'starting' | 'live' | 'ended' = 'live'
  readonly #held: HeldBack
  /** More came during the replay than can be held: it is asked for once the client has what was asked for before. */
  #isBehind = false
  #timer: NodeJS.Timeout | undefined
  /** The last event of a cache channel, for whoever does not go on from somewhere. */
  #cached: ByteString | undefined
  /** What the replay has brought. */
  #replayedTo: Position | undefined
  /** Where delivery stood when the channel had sent nothing here yet. */
  #base: Position | undefined

  constructor({ channel, connection }: Subscription, tracker: Tracker, context: ResumeContext) {
    this.channel = channel
    this.#connection = connection
    this.#tracker = tracker
    this.#context = context
    this.#held = new HeldBack(tracker)
    channel.resumables += 1
  }

  get isHolding(): boolean {
    return this.#state !== 'live' && this.#state !== 'ended'
  }

  /** Where the client stands once it has got all that was sent to it; undefined where that is not known yet. */
  get position(): Position | undefined {
    const settled = settledPosition(this.channel) ?? this.#base
    const replayed = this.#replayedTo
    if (replayed === undefined || settled === undefined || replayed.epoch !== settled.epoch) return settled ?? replayed
    return replayed.serial > settled.serial ? replayed : settled
  }

  /** From now on events wait for `resume`, for a while: a client that has not spoken by then is told that it may have missed something, before it gets them. */
  hold(): void {
    this.#state = 'waiting'
    this.#timer = setTimeout(() => this.#fail('unavailable'), this.#context.settings.timings.resumeMs).unref()
  }

  /** The event with which a cache channel greets: not news for whoever goes on. */
  greet(frame: ByteString): void {
    if (this.isHolding) this.#cached = frame
    else this.#connection.outbox.push(frame)
  }

  /** An event for the channel; without a position it is none of the history's. `isExcluded`: for the others only. */
  take(frame: ByteString, { at, fromClient }: ChannelEvent, isExcluded: boolean): void {
    if (this.isHolding) {
      if (!isExcluded) this.#keep(frame, at)
      return
    }
    if (at !== undefined && this.#hasGot(at)) return
    // A client counts what it gets after its place, except what other clients send: an event of no history must not stand for one of it.
    const place = this.position ?? at
    const isCounted = place !== undefined && fromClient !== true
    const id = isCounted ? this.#tracker.sink.note(this, place) : undefined
    if (!isExcluded) this.#connection.outbox.push(frame, id)
  }

  /** The client goes on from wherever the channel is; a replay that it has asked for before comes whole all the same. */
  startNow(): void {
    if (this.#state !== 'replaying') this.#goOn()
  }

  /**
   * The client wants what came after a position; answered with `router:resumed` or `router:resume_failed`. `unknown`: it was here before, and was not told
   * where it stood.
   */
  resume(from: StoppedAt | 'unknown'): void {
    // The answer is on its way: a replay does not end in the middle.
    if (this.#state === 'replaying') return
    if (this.#state !== 'waiting' || from === 'unknown') {
      this.#fail('unavailable')
      return
    }
    clearTimeout(this.#timer)
    this.#state = 'replaying'
    this.#ask(from)
  }

  /** Events up to `at` were missed that nobody can bring. */
  lose(at: Position, why: ResumeFailure): void {
    // What is asked for later is answered with the loss.
    if (this.isHolding && !this.#isBehind) this.#held.loss(at, why)
    if (this.#state !== 'live') return
    this.#tellFailure(why)
    this.#stand()
  }

  /** It is no subscription any more. */
  end(): void {
    if (this.#state === 'ended') return
    clearTimeout(this.#timer)
    this.#state = 'ended'
    this.#held.release()
    this.channel.resumables -= 1
  }

  #ask(from: StoppedAt): void {
    if (!this.#tracker.resumes.take(resumesPerSecond, this.#context.settings.limits.channels, performance.now())) {
      this.#fail('unavailable')
      return
    }
    this.#isBehind = false
    let asked: Replay | Promise<Replay>
    try {
      asked = this.#context.history.since(this.#connection.app.app.id, this.channel.name, from)
    } catch {
      this.#fail('unavailable')
      return
    }
    if (!(asked instanceof Promise)) {
      this.#answer(asked, from)
      return
    }
    asked.then(
      replay => this.#answer(replay, from),
      () => {
        if (this.#state === 'replaying') this.#fail('unavailable')
      },
    )
  }

  #answer(replay: Replay, from: StoppedAt): void {
    if (this.#state !== 'replaying') return
    if ('failed' in replay) {
      this.#fail(replay.failed)
      return
    }
    const { socketId } = this.#connection
    this.#replay({ missed: missedEvents(replay.events, from, socketId, this.channel.rule?.conflate), from, upTo: replay.upTo }, 0)
  }

  /** As much at a time as the client takes: a whole history may be more than its queue. */
  #replay(asked: Asked, first: number): void {
    if (this.#state !== 'replaying') return
    const { missed, upTo } = asked
    const { outbox } = this.#connection
    const most = this.#context.settings.limits.queue / 2
    for (let index = first; index < missed.length; index += 1) {
      if (outbox.queuedBytes > most) {
        outbox.whenDrained(() => this.#replay(asked, index))
        return
      }
      const next = missed[index]
      if (next === undefined) continue
      const frame = eventFrame(jsonBytes(next.event.event), this.channel.nameBytes, jsonBytes(next.event.text))
      outbox.push(frame, this.#tracker.sink.note(this, { epoch: upTo.epoch, serial: next.isWholeUpTo }))
    }
    this.#context.counters.replayed += missed.length
    if (this.#replayedTo === undefined) {
      this.#context.counters.resumed += 1
      this.#tell('router:resumed', { channel: this.channel.name, replayed: missed.length })
    }
    this.#replayedTo = upTo
    this.#endReplay(asked)
  }

  /** What came meanwhile is passed on once the queue has room for it, and is asked for where it is not held. */
  #endReplay(asked: Asked): void {
    if (this.#state !== 'replaying') return
    const { outbox } = this.#connection
    if (this.#isBehind) this.#ask({ ...asked.upTo, received: 0, socketId: asked.from.socketId })
    else if (outbox.queuedBytes > 0 && outbox.queuedBytes + this.#held.bytes > this.#context.settings.limits.queue) {
      outbox.whenDrained(() => this.#endReplay(asked))
    } else {
      this.#cached = undefined
      this.#release()
    }
  }

  #goOn(): void {
    if (this.#state === 'ended' || this.#state === 'starting') return
    clearTimeout(this.#timer)
    if (this.isHolding) this.#state = 'starting'
    const known = this.channel.latest
    const base = known ?? this.#context.history.position(this.#connection.app.app.id, this.channel.name)
    if (!(base instanceof Promise)) {
      this.#begin(base)
      return
    }
    base.then(
      at => this.#begin(at),
      // Nobody knows where the channel stands: the client has no position until an event comes.
      () => this.#begin(undefined),
    )
  }

  #begin(base: Position | undefined): void {
    if (this.#state === 'ended') return
    this.#base = base
    if (this.isHolding) this.#release()
    else this.#stand()
  }

  /** The client is told, and goes on from here. */
  #fail(why: ResumeFailure): void {
    if (this.#state === 'ended') return
    this.#tellFailure(why)
    this.#held.forgetLosses()
    this.#isBehind = false
    this.#goOn()
  }

  #tellFailure(reason: ResumeFailure): void {
    this.#context.counters.resumeFailed(reason)
    this.#tell('router:resume_failed', { channel: this.channel.name, reason })
  }

  #tell(event: string, data: Readonly<Record<string, unknown>>): void {
    sendMessage(this.#connection, { event, data: JSON.stringify(data) })
  }

  #release(): void {
    clearTimeout(this.#timer)
    this.#state = 'live'
    if (this.#cached !== undefined) this.#connection.outbox.push(this.#cached)
    this.#cached = undefined
    for (const item of this.#held.release()) {
      // The replay has brought it.
      if (item.at !== undefined && this.#hasGot(item.at)) continue
      if (item.kind === 'event') this.#connection.outbox.push(item.frame)
      else this.#tellFailure(item.why)
    }
    this.#stand()
  }

  #stand(): void {
    const at = this.position
    if (at !== undefined) this.#tracker.sink.stands(this, at)
  }

  #hasGot({ epoch, serial }: Position): boolean {
    return this.#replayedTo?.epoch === epoch && serial <= this.#replayedTo.serial
  }

  #keep(frame: ByteString, at: Position | undefined): void {
    if (this.#isBehind) return
    this.#held.event(frame, at)
    if (this.#tracker.heldBytes <= this.#context.settings.limits.queue) return
    if (this.#state === 'replaying') {
      // Events of no history go with it, as they do where a client is too slow.
      this.#held.release()
      this.#isBehind = true
      return
    }
    // It is told before it gets them: whatever it asks for is asked too late.
    if (this.#state !== 'starting') this.#fail('unavailable')
    if (this.isHolding) this.#release()
  }
}

/** Up to where the subscribers of a channel have got everything, or something newer instead. */
function settledPosition({ latest, conflator }: Channel): Position | undefined {
  const waiting = conflator?.oldestWaiting?.at
  if (latest === undefined || waiting === undefined || waiting.epoch !== latest.epoch) return latest
  return { epoch: latest.epoch, serial: waiting.serial - 1 }
}
