import type { SourceRecord } from '../compiler/plan.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { DoneAhead } from './done-ahead.ts'
import { Lanes } from './lanes.ts'
import { OffsetTracker } from './offset-tracker.ts'
import type { Cancel, Clock } from './ports.ts'
import { type Abortable, RunningAttempts, type Waiter, type Watch } from './running-attempts.ts'

/**
 * `active`: takes messages. `draining`: waits for no retry, and starts only what fills the gaps below messages that have run already: without them
 * those could not be committed and would run again.
 * `released`: starts no further action either; outcomes that still arrive do not count.
 */
export type AssignmentState = 'active' | 'draining' | 'released'

/** One delivery, in part. */
export interface Backlog {
  /** The first record of it that has not been taken; undefined: all have been. */
  next: SourceRecord | undefined
  /** After `next`. */
  readonly rest: Iterator<SourceRecord>
  /** The offset after all of it. */
  readonly nextOffset: number
}

/** One partition while this member has it: its progress, its lanes, and what runs or waits in it. */
export class Assignment {
  readonly topic: string
  readonly partition: number
  readonly tracker: OffsetTracker
  readonly lanes = new Lanes()
  /** Delivered, not yet looked at. */
  backlog: Backlog[] = []
  highWatermark = -1
  /** Buffered and running. */
  messages = 0
  bytes = 0
  /** Messages at work: some action runs or waits for a retry. */
  running = 0
  /** Of those that wait in lanes while the partition drains: how many may still start. */
  gaps = 0
  /** Highest offset of a message that has begun; while the partition drains, no message above it starts. */
  furthest = -1
  paused = false
  /** A retry topic's partition waits until its next message is due; undoes that. */
  parked: Cancel | undefined
  /** A message failed with `onFailure: stop`: nothing is fetched or started any more. */
  stopped = false
  /** Messages that had started and did not settle, when it left. */
  released = 0
  /** It has been said what of it will be delivered again. */
  isAccountedFor = false
  /** Not ours any more: nothing of it may be committed. */
  gone = false
  state: AssignmentState = 'active'
  /** Messages wait in it for their next try: none starts before it is due. */
  readonly isRetry: boolean
  readonly #clock: Clock
  readonly #attempts: RunningAttempts
  /** Waits that end when it is released. */
  readonly #lastWaits = new Set<() => void>()
  /** Waits that end when it drains. */
  readonly #waits = new Set<() => void>()
  /** And those of them that come before a try of an action. */
  readonly #waitsToTry = new Set<() => void>()
  readonly #idleWaiters = new Set<() => void>()

  /** `saved`: what the broker keeps of it. */
  constructor(topic: string, partition: number, clock: Clock, isRetry = false, saved?: DoneAhead) {
    this.topic = topic
    this.partition = partition
    this.tracker = new OffsetTracker(saved)
    this.isRetry = isRetry
    this.#clock = clock
    this.#attempts = new RunningAttempts(clock)
  }

  get id(): string {
    return `${this.topic}/${this.partition}`
  }

  /** More of its messages may start. */
  get takesMessages(): boolean {
    return this.state === 'active' && !this.stopped
  }

  /** This message of a lane may start. */
  mayStart(offset: number): boolean {
    return this.takesMessages || (this.state === 'draining' && !this.stopped && offset <= this.furthest)
  }

  /** The message that has started may begin with its actions, now that it has its claim. */
  mayBegin(offset: number): boolean {
    return this.state === 'active' || this.mayStart(offset)
  }

  /** The message does something now. */
  begins(offset: number): void {
    if (offset > this.furthest) this.furthest = offset
  }

  get isIdle(): boolean {
    return this.running === 0 && this.gaps === 0
  }

  /** How many messages the broker still has for this partition; 0 while that is not known. */
  get lag(): number {
    const position = this.tracker.position
    return this.highWatermark < 0 || position < 0 ? 0 : Math.max(0, this.highWatermark - position)
  }

  /** Waits before a retry. False when the wait was cut short: the message is then released. */
  wait(ms: number): Promise<boolean> {
    return this.pauseToTry(resume => this.#clock.schedule(ms, resume))
  }

  /** As `pause`, before a try of an action: `cutTries` ends it, too. */
  pauseToTry(begin: (resume: () => void) => Cancel): Promise<boolean> {
    return this.state === 'active' ? pauseIn(this.#waitsToTry, begin) : Promise.resolve(false)
  }

  /** Releases the messages that wait for the next try of an action, and answers how many waited. */
  cutTries(): number {
    return cutAll(this.#waitsToTry)
  }

  /** Waits before something is tried again that a message which has run depends on. False when the partition is released. */
  waitOn(ms: number): Promise<boolean> {
    if (this.state === 'released') return Promise.resolve(false)
    return pauseIn(this.#lastWaits, resume => this.#clock.schedule(ms, resume))
  }

  /** Waits until `resume` is called. `begin` answers with what undoes it, for when the partition drains: then this is false. */
  pause(begin: (resume: () => void) => Cancel): Promise<boolean> {
    if (this.state !== 'active') return Promise.resolve(false)
    return pauseIn(this.#waits, begin)
  }

  /** The same, also while it drains for as long as the message may begin then. */
  async untilBegun(offset: number, begin: (resume: () => void) => Cancel): Promise<boolean> {
    if (await this.pause(begin)) return true
    if (!this.mayBegin(offset)) return false
    return (await pauseIn(this.#lastWaits, begin)) && this.mayBegin(offset)
  }

  /** Waits for a result, at most until the partition is released (see RunningAttempts). */
  follow(result: PromiseLike<unknown>, timeoutMs: number | undefined, waiter: Waiter, attempt?: Abortable, guard?: Watch): void {
    if (this.state !== 'released') this.#attempts.follow(result, timeoutMs, waiter, attempt, guard)
    else {
      const reason = new AttemptReleased()
      attempt?.abort(reason)
      // Whatever becomes of it is nobody's concern.
      Promise.resolve(result).catch(() => {})
      waiter.rejected(reason)
    }
  }

  /** As a promise. */
  settle(result: PromiseLike<unknown>, timeoutMs: number | undefined, attempt?: Abortable, guard?: Watch): Promise<unknown> {
    return new Promise((resolved, rejected) => this.follow(result, timeoutMs, { resolved, rejected }, attempt, guard))
  }

  /** Calls back once when the partition drains, unless it is cancelled before. */
  whenDraining(callback: () => void): Cancel {
    this.#waits.add(callback)
    return () => this.#waits.delete(callback)
  }

  /** Takes no further message, cuts retry waits short. Idempotent. */
  drain(): void {
    if (this.state !== 'active') return
    this.state = 'draining'
    cutAll(this.#waitsToTry)
    cutAll(this.#waits)
  }

  /** Aborts what still runs. Idempotent. */
  release(): void {
    this.drain()
    this.state = 'released'
    this.#attempts.abortAll()
    cutAll(this.#lastWaits)
    this.noteIdle()
  }

  /** Resolves when no message is at work, nor about to be. */
  whenIdle(): Promise<void> {
    if (this.isIdle) return Promise.resolve()
    return new Promise(resolve => this.#idleWaiters.add(resolve))
  }

  noteIdle(): void {
    if (!this.isIdle) return
    for (const resolve of this.#idleWaiters) resolve()
    this.#idleWaiters.clear()
  }
}

function cutAll(cuts: Set<() => void>): number {
  const all = [...cuts]
  cuts.clear()
  for (const cut of all) cut()
  return all.length
}

/** `cuts`: what ends it early. */
function pauseIn(cuts: Set<() => void>, begin: (resume: () => void) => Cancel): Promise<boolean> {
  return new Promise(resolve => {
    const cut = () => {
      cancel()
      cuts.delete(cut)
      resolve(false)
    }
    const cancel = begin(() => {
      cuts.delete(cut)
      resolve(true)
    })
    cuts.add(cut)
  })
}
