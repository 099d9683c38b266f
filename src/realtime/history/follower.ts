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
  /** It stood nowhere when events may have passed unheard. */
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
      this.#tellMissed(followed, at)
      followed.at = at
      answer(followed, at)
    } else if (before.epoch !== at.epoch || before.serial < at.serial) void this.#catchUp(followed)
  }

  /** Messages are heard, and questions answered: what was said since the last time was not heard. */
  up(): void {
    this.#isUp = true
    for (const followed of this.#followed.values()) {
      if (followed.at === undefined) {
        followed.hasMissed = true
        this.#unknown.add(followed)
      } else if (followed.state === 'asking') followed.asksAgain = true
      else void this.#catchUp(followed)
    }
    this.#askStands()
  }

  down(): void {
    this.#isUp = false
    for (const followed of this.#followed.values()) answer(followed, away())
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
      hasMissed: false,
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
    if (before !== undefined && before.epoch === at.epoch) {
      if (at.serial <= before.serial) return
      if (at.serial > before.serial + 1) {
        void this.#catchUp(followed)
        this.#hold(followed, heard)
        return
      }
    }
    this.#tellMissed(followed, { epoch: at.epoch, serial: at.serial - 1 })
    followed.at = at
    this.#options.listener.deliver(this.#options.app, followed.channel, heard.event, heard.except)
    answer(followed, at)
  }

  /** Up to `at`. */
  #tellMissed(followed: Followed, at: Position): void {
    if (!followed.hasMissed) return
    followed.hasMissed = false
    this.#options.listener.lost(this.#options.app, followed.channel, at, 'position_expired')
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
      let reading: Reading
      try {
        reading = await this.#options.since(channel, followed.at)
      } catch {
        // What is held will be in the next answer.
        followed.state = 'behind'
        release(followed)
        this.#askAgain()
        return
      }
      if (this.#followed.get(channel) !== followed) return
      this.#bring(followed, reading)
      if (followed.asksAgain) release(followed)
      else break
    }
    followed.state = 'following'
    for (const { event, except } of release(followed)) this.heard(channel, event, except)
  }

  #bring(followed: Followed, reading: Reading): void {
    const { app, listener } = this.#options
    const { channel } = followed
    followed.at = reading.upTo
    if ('failed' in reading) {
      listener.lost(app, channel, reading.upTo, reading.failed)
      return
    }
    const { epoch } = reading.upTo
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

function answer({ waiting }: Followed, at: Position | HistoryUnavailable): void {
  for (const settle of waiting.splice(0)) settle(at)
}

function away(): HistoryUnavailable {
  return new HistoryUnavailable('The history does not answer')
}
