import { createHash, randomBytes } from 'node:crypto'
import { channelKind } from '../channel-kind.ts'
import { cachedLifeMs } from '../event-cache.ts'
import { Follower, type Reading } from '../history/follower.ts'
import {
  type Append,
  type Appended,
  type HistoryListener,
  HistoryUnavailable,
  type Position,
  type Replay,
  type StoredEvent,
} from '../history/history.ts'
import { historyScripts } from './history-scripts.ts'
import { OutgoingAppends } from './outgoing-appends.ts'
import type { RedisLink } from './redis-link.ts'
import type { Script } from './redis-scripts.ts'
import { jsonText } from './replies.ts'
import { exceptField, isReserved, scriptHead } from './wire.ts'

export interface AppHistoryOptions {
  readonly app: string
  /** What the app's keys start with. */
  readonly place: string
  /** Heard by every instance. */
  readonly topic: string
  /** Heard by this instance alone. */
  readonly ownTopic: string
  readonly link: RedisLink
  readonly listener: HistoryListener
  /** Of the channels that are there, those that the rules keep. */
  readonly isKept: IsKept
  /** Which those are, in words: where it changes, events may pass by channels that were kept. */
  readonly rules: () => string
}

type IsKept = (channel: string) => boolean

/** How long a channel keeps its epoch after its last event: a client that missed none goes on for so long. */
const stateLivesMs = 7 * 24 * 3_600_000
/** What an event takes beside its texts, roughly. */
const eventOverhead = 160
/** Questions for what was missed that are asked at one time: each answer may be a whole history. */
const mostQuestions = 8

/** What Redis keeps of the channels of one app. */
export class AppHistory {
  readonly follower: Follower
  readonly #options: AppHistoryOptions
  readonly #appends: OutgoingAppends
  /** That have not been sent yet, by channel and position: after a restart whole channels ask from the same place. */
  readonly #questions = new Map<string, Promise<Reading>>()
  #asked = 0
  readonly #queue: (() => void)[] = []
  /** Rules by which channels may have lost their history, and have not been forgotten yet. */
  #rules: readonly IsKept[]
  #forgetting: Promise<void> | undefined
  /** The life of Redis that knows the rules. */
  #toldTo: string | undefined

  constructor(options: AppHistoryOptions) {
    this.#options = options
    const { app, listener, isKept } = options
    this.#rules = [isKept]
    this.#appends = new OutgoingAppends(entries => this.#append(entries))
    this.follower = new Follower({
      app,
      listener,
      since: (channel, from) => this.#since(channel, from),
      askStands: channels => this.#askStands(channels),
    })
  }

  append(entry: Append): Promise<Appended> {
    return this.#appends.add(entry)
  }

  async since(channel: string, from: Position): Promise<Replay> {
    return await this.#since(channel, from)
  }

  /** The rules have changed: what they do not keep is forgotten, even if others keep it again before that is done. */
  retain(isKept: IsKept): void {
    this.#rules = [...this.#rules, isKept]
    this.#forgetSoon()
  }

  up(): void {
    this.#forgetSoon()
    this.follower.up()
  }

  down(): void {
    this.follower.down()
  }

  async #append(entries: readonly Append[]): Promise<readonly Appended[]> {
    const { topic } = this.#options
    const answers = await this.#run(historyScripts.append, [scriptHead, topic, ...entries.flatMap(appendArgs)])
    if (!Array.isArray(answers)) throw unreadable()
    return entries.map((_, index) => {
      const at = positionOf(answers[3 * index], answers[3 * index + 1])
      if (at === undefined) throw unreadable()
      return { ...at, isRepeat: answers[3 * index + 2] === 1 }
    })
  }

  async #askStands(channels: readonly string[]): Promise<void> {
    const named = channels.flatMap(channel => [channel, JSON.stringify(channel)])
    await this.#run(historyScripts.stand, [scriptHead, this.#options.ownTopic, ...named])
  }

  #since(channel: string, from: Position): Promise<Reading> {
    const key = `${channel}\n${from.epoch}\n${from.serial}`
    const asked = this.#questions.get(key)
    if (asked !== undefined) return asked
    if (this.#asked < mostQuestions) return this.#read(channel, from)
    const question = this.#readLater(key, channel, from)
    this.#questions.set(key, question)
    return question
  }

  /** Nobody joins it once it is sent: an event that was heard in between, before whoever asks had subscribed, would be in no answer. */
  async #readLater(key: string, channel: string, from: Position): Promise<Reading> {
    await new Promise<void>(resolve => this.#queue.push(resolve))
    this.#questions.delete(key)
    this.#asked -= 1
    return await this.#read(channel, from)
  }

  async #read(channel: string, from: Position): Promise<Reading> {
    this.#asked += 1
    try {
      return readingOf(await this.#run(historyScripts.since, [channel, from.epoch, from.serial]))
    } finally {
      // Its place goes to the next one.
      const next = this.#queue.shift()
      if (next === undefined) this.#asked -= 1
      else next()
    }
  }

  /** Rejects with HistoryUnavailable. */
  async #run(script: Script, values: readonly (string | number | Buffer)[]): Promise<unknown> {
    try {
      if (this.#rules.length > 0 || this.#toldTo !== this.#options.link.runId) await this.#forgetOld()
      return await this.#runNow(script, values)
    } catch (error) {
      if (error instanceof HistoryUnavailable) throw error
      throw new HistoryUnavailable(`no history: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }

  async #runNow(script: Script, values: readonly (string | number | Buffer)[]): Promise<unknown> {
    const { link, place } = this.#options
    const { runId } = link
    if (runId === undefined) throw new HistoryUnavailable('Redis has not said which of its lives this is')
    return await link.run(script, [place, runId, randomBytes(9).toString('base64url'), stateLivesMs, ...values])
  }

  /** Before anything is answered: a position from before the rule was taken away must not pass for a whole one. */
  async #forgetOld(): Promise<void> {
    this.#forgetting ??= this.#forgetUnkept().finally(() => {
      this.#forgetting = undefined
    })
    await this.#forgetting
  }

  #forgetSoon(): void {
    // Redis is away: when it is back.
    this.#forgetOld().catch(() => {})
  }

  async #forgetUnkept(): Promise<void> {
    const { link, place, rules: inWords } = this.#options
    while (this.#rules.length > 0 || this.#toldTo !== link.runId) {
      const { runId } = link
      const rules = this.#rules
      const patterns = createHash('sha256').update(inWords()).digest('base64url')
      let cursor = '0'
      do {
        const [next, channels] = await link.ask(redis => redis.sscan(`${place}histories`, cursor, 'COUNT', 500))
        const old = channels.filter(channel => !rules.every(isKept => isKept(channel)))
        if (old.length > 0) await this.#runNow(historyScripts.forget, old)
        cursor = next
      } while (cursor !== '0')
      await this.#runNow(historyScripts.keep, [patterns])
      this.#rules = this.#rules.slice(rules.length)
      this.#toldTo = runId
    }
  }
}

function appendArgs({ channel, limits, made, except, origin: from = '' }: Append): readonly (string | number | Buffer)[] {
  // What is kept of an event has tabs between.
  const origin = from.replaceAll(/[\t\n]/g, ' ')
  const bytes = eventOverhead + made.event.length + made.data.length + origin.length
  const cacheMs = channelKind(channel).cached ? cachedLifeMs : 0
  const texts = [exceptField(except), Buffer.from(made.event, 'latin1'), Buffer.from(made.data, 'latin1')]
  return [channel, JSON.stringify(channel), limits.size, limits.ttlMs, limits.bytes, cacheMs, origin, bytes, ...texts]
}

function readingOf(reply: unknown): Reading {
  if (!Array.isArray(reply)) throw unreadable()
  const [epoch, serial, found]: readonly unknown[] = reply
  const upTo = positionOf(epoch, serial)
  if (upTo === undefined) throw unreadable()
  if (found === 'expired') return { upTo, failed: 'position_expired' }
  if (found === 'changed') return { upTo, failed: 'epoch_changed' }
  if (!Array.isArray(found)) throw unreadable()
  const events: StoredEvent[] = []
  for (let index = 0; index < found.length; index += 2) events.push(storedOf(found[index], found[index + 1]))
  return { upTo, events }
}

function storedOf(serial: unknown, kept: unknown): StoredEvent {
  if (!isSerial(serial) || typeof kept !== 'string') throw unreadable()
  const [, , , except = '', name, data] = kept.split('\t', 6)
  const event = jsonText(name)
  const text = jsonText(data)
  if (event === undefined || text === undefined || isReserved(event)) throw unreadable()
  return { serial, event, text, except: except === '' ? undefined : except }
}

function positionOf(epoch: unknown, serial: unknown): Position | undefined {
  return typeof epoch === 'string' && isSerial(serial) ? { epoch, serial } : undefined
}

function isSerial(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function unreadable(): HistoryUnavailable {
  return new HistoryUnavailable('Redis holds a history that no router of this version has written')
}
