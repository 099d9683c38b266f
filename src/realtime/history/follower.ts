import { jsonBytes } from '../frame.ts'
import {
  type HistoryListener,
  HistoryUnavailable,
  type PlacedEvent,
  type Position,
  type ReplayFailure,
  type StoredEvent,
} from './history.ts'

/** All that came after a position up to `upTo`, or why not. */
export type Reading = { readonly upTo: Position } & ({ readonly events: readonly StoredEvent[] } | { readonly failed: ReplayFailure })

export interface FollowerOptions {
  readonly app: string
  readonly listener: HistoryListener
  /** What came after a position; rejects where the history is away. */
  readonly since: (channel: string, from: Position) => Promise<Reading>
  /** Has `stands` called for each of the channels, at its place among their events; rejects where the history is away. */
  readonly askStands: (channels: readonly string[]) => Promise<unknown>
}

interface Heard {
  readonly event: PlacedEvent
  readonly except: string | undefined
}

/** A channel that has subscribers here. */
interface Followed {
  readonly channel: string
  /** Where delivery here stands; undefined until that has been heard. */
  at: Position | undefined
  /** The epoch before this one: of its events some may still be on their way. */
  ended: string | undefined
  /** It stands nowhere yet, and events may have passed unheard. */
  hasMissed: boolean
  /** `behind`: something was missed and is still to be asked for; what is heard until then will be in the answer. */
  state: 'following' | 'asking' | 'behind'
  /** What is heard while what was missed is on its way. */
  held: Heard[]
  heldBytes: number
  /** Something was missed after the question was asked: its answer is not all. */
  asksAgain: boolean
  readonly waiting: ((at: Position | HistoryUnavailable) => void)[]
}

/** What is held of one channel while it catches up; past it nothing is, and it asks once more. */
const mostHeldBytes = 4 * 1024 * 1024
/** Channels whose places are asked for in one step. */
const mostAskedAtOnce = 500
/** Where a question fails though the connection works, in ms. */
const askAgainMs = 1_000

/**
 * Delivers the events of a history that others keep, of the channels of one app: in the order of their serials, each once. They come as messages, in
 * order, but for those that went by while the connection was broken: those are asked for, or told to be lost.
 */
export class Follower {
  readonly #options: FollowerOptions
  readonly #followed = new Map<string, Followed>()
  readonly #unknown = new Set<Followed>()
  #isAsking = false
  #again: NodeJS.Timeout | undefined
  #isUp = false

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  /** The channel has subscribers: they get whatever is heard from now on. */
  follow(channel: string): void {
    if (!this.#followed.has(channel)) this.#begin(channel)
  }

  leave(channel: string): void {
    const followed = this.#followed.get(channel)
    if (followed === undefined) return
    this.#followed.delete(channel)
    this.#unknown.delete(followed)
    answer(followed, away())
  }

  /** Where delivery stands. Rejects with HistoryUnavailable. */
  position(channel: string): Position | Promise<Position> {
    const followed = this.#followed.get(channel) ?? this.#begin(channel)
    if (followed.at !== undefined) return followed.at
    if (!this.#isUp) return Promise.reject(away())
    return new Promise((resolve, reject) => {
      followed.waiting.push(at => (at instanceof HistoryUnavailable ? reject(at) : resolve(at)))
    })
  }

  heard(channel: string, event: PlacedEvent, except: string | undefined): void {
    const followed = this.#followed.get(channel)
    if (followed === undefined) this.#options.listener.deliver(this.#options.app, channel, event, except)
    else if (followed.state === 'following') this.#take(followed, { event, except })
    else if (followed.state === 'asking') this.#hold(followed, { event, except })
  }

  /** Said among the events: those before have been heard, if they were said while the connection worked. */
  stands(channel: string, at: Position): void {
    const followed = this.#followed.get(channel)
    if (followed === undefined || followed.state !== 'following') return
    const before = followed.at
    if (before === undefined) {
      this.#unknown.delete(followed)
      if (followed.hasMissed) this.#lose(followed, at, 'position_expired')
      move(followed, at)
      answer(followed, at)
    } else if (before.epoch !== at.epoch || before.serial < at.serial) void this.#catchUp(followed)
  }

  /** Messages are heard, and questions answered: what was said since the last time was not heard. */
  up(): void {
    this.#isUp = true
    for (const followed of this.#followed.values()) {
      if (followed.at === undefined) this.#unknown.add(followed)
      else if (followed.state === 'asking') followed.asksAgain = true
      else void this.#catchUp(followed)
    }
    this.#askStands()
  }

  down(): void {
    this.#isUp = false
    for (const followed of this.#followed.values()) {
      if (followed.at === undefined) followed.hasMissed = true
      answer(followed, away())
    }
  }

  close(): void {
    clearTimeout(this.#again)
    this.down()
    this.#followed.clear()
    this.#unknown.clear()
  }

  #begin(channel: string): Followed {
    const followed: Followed = {
      channel,
      at: undefined,
      ended: undefined,
      // Messages may be heard again some time before it is up.
      hasMissed: !this.#isUp,
      state: 'following',
      held: [],
      heldBytes: 0,
      asksAgain: false,
      waiting: [],
    }
    this.#followed.set(channel, followed)
    this.#unknown.add(followed)
    this.#askStands()
    return followed
  }

  /** Those of one turn of the event loop together. */
  #askStands(): void {
    if (this.#isAsking || !this.#isUp || this.#unknown.size === 0) return
    this.#isAsking = true
    setImmediate(() => {
      this.#isAsking = false
      if (this.#isUp) void this.#ask([...this.#unknown].slice(0, mostAskedAtOnce))
      this.#askStands()
    })
  }

  async #ask(asked: readonly Followed[]): Promise<void> {
    for (const followed of asked) this.#unknown.delete(followed)
    try {
      await this.#options.askStands(asked.map(({ channel }) => channel))
    } catch {
      for (const followed of asked) {
        if (this.#followed.get(followed.channel) !== followed || followed.at !== undefined) continue
        this.#unknown.add(followed)
        answer(followed, away())
      }
      this.#askAgain()
    }
  }

  #take(followed: Followed, heard: Heard): void {
    const { at } = heard.event
    const before = followed.at
    if (isOld(followed, at)) return
    if (before !== undefined && this.#mustAsk(before, at)) {
      void this.#catchUp(followed)
      this.#hold(followed, heard)
      return
    }
    const isOtherEpoch = before !== undefined && before.epoch !== at.epoch
    if (isOtherEpoch || followed.hasMissed) {
      this.#lose(followed, { epoch: at.epoch, serial: at.serial - 1 }, isOtherEpoch ? 'epoch_changed' : 'position_expired')
    }
    move(followed, at)
    this.#options.listener.deliver(this.#options.app, followed.channel, heard.event, heard.except)
    answer(followed, at)
  }

  /** Whether something may lie between that can still be had. Before its first event a channel may stand in an epoch that the event's goes on from. */
  #mustAsk(before: Position, at: Position): boolean {
    return before.epoch === at.epoch ? at.serial > before.serial + 1 : before.serial === 0 && this.#isUp
  }

  /** Up to `at`. */
  #lose(followed: Followed, at: Position, why: ReplayFailure): void {
    followed.hasMissed = false
    this.#options.listener.lost(this.#options.app, followed.channel, at, why)
  }

  #hold(followed: Followed, heard: Heard): void {
    followed.heldBytes += heard.event.data.length
    if (followed.heldBytes <= mostHeldBytes) followed.held.push(heard)
    else {
      followed.held = []
      followed.asksAgain = true
    }
  }

  async #catchUp(followed: Followed): Promise<void> {
    const { channel } = followed
    followed.state = 'asking'
    while (followed.at !== undefined) {
      followed.asksAgain = false
      const from = followed.at
      let reading: Reading
      try {
        reading = await this.#options.since(channel, from)
      } catch {
        this.#putOff(followed)
        return
      }
      if (this.#followed.get(channel) !== followed) return
      this.#bring(followed, from, reading)
      if (followed.asksAgain) release(followed)
      else break
    }
    followed.state = 'following'
    for (const heard of release(followed)) {
      // It was heard before the answer came, which does not reach so far: no more is to be had now.
      if (followed.at !== undefined && !isOld(followed, heard.event.at) && this.#mustAsk(followed.at, heard.event.at)) {
        this.#putOff(followed)
        return
      }
      this.#take(followed, heard)
    }
  }

  /** What is heard until then will be in the answer. */
  #putOff(followed: Followed): void {
    followed.state = 'behind'
    release(followed)
    this.#askAgain()
  }

  #bring(followed: Followed, from: Position, reading: Reading): void {
    const { app, listener } = this.#options
    const { channel } = followed
    const { epoch } = reading.upTo
    if ('failed' in reading) {
      const at = heardSince(followed, from, reading.upTo) ?? reading.upTo
      move(followed, at)
      if (!isSame(at, from)) this.#lose(followed, at, reading.failed)
      return
    }
    move(followed, reading.upTo)
    for (const { serial, event, text, except } of reading.events) {
      listener.deliver(app, channel, { event: jsonBytes(event), data: jsonBytes(text), text, at: { epoch, serial } }, except)
    }
  }

  #askAgain(): void {
    this.#again ??= setTimeout(() => {
      this.#again = undefined
      if (!this.#isUp) return
      for (const followed of this.#followed.values()) if (followed.state === 'behind') void this.#catchUp(followed)
      this.#askStands()
    }, askAgainMs).unref()
  }
}

function release(followed: Followed): readonly Heard[] {
  const { held } = followed
  followed.held = []
  followed.heldBytes = 0
  return held
}

function move(followed: Followed, to: Position): void {
  if (followed.at !== undefined && followed.at.epoch !== to.epoch) followed.ended = followed.at.epoch
  followed.at = to
}

function isOld({ at, ended }: Followed, { epoch, serial }: Position): boolean {
  return epoch === ended || (epoch === at?.epoch && serial <= at.serial)
}

/** The place up to `upTo` after which all has been heard: what is lost ends there. */
function heardSince({ held, asksAgain }: Followed, from: Position, upTo: Position): Position | undefined {
  const isNew = ({ epoch, serial }: Position): boolean => epoch === upTo.epoch && (epoch !== from.epoch || serial > from.serial)
  const next = held.find(({ event }) => isNew(event.at))?.event.at
  if (next === undefined || asksAgain || next.serial > upTo.serial) return undefined
  return { epoch: next.epoch, serial: next.serial - 1 }
}

function isSame(one: Position, other: Position): boolean {
  return one.epoch === other.epoch && one.serial === other.serial
}

function answer({ waiting }: Followed, at: Position | HistoryUnavailable): void {
  for (const settle of waiting.splice(0)) settle(at)
}

function away(): HistoryUnavailable {
  return new HistoryUnavailable('The history does not answer')
}
