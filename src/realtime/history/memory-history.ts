import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { ChannelLog } from './channel-log.ts'
import type { Append, Appended, History, HistoryListener, HistoryStats, Position, Replay } from './history.ts'

export interface MemoryHistoryOptions {
  /** Asked each time, so that a reload takes effect. */
  readonly limits: () => MemoryHistoryLimits
  readonly listener: HistoryListener
}

export interface MemoryHistoryLimits {
  /** Of all channels together; the channel that got an event the longest ago is forgotten first. */
  readonly bytes: number
}

interface NamedLog {
  readonly app: string
  readonly channel: string
  readonly log: ChannelLog
  /** What it takes without events. */
  readonly overhead: number
}

/** What a channel takes beside its name and events, roughly. */
const channelOverhead = 300

/**
 * The history in this process: it goes with it, which clients that resume are told by another epoch. A channel that is forgotten to make room raises
 * the floor: no channel that is new to the history starts below it, so that the positions of the forgotten one count as expired, though nothing of
 * it is remembered.
 */
export class MemoryHistory implements History {
  readonly #epoch = randomBytes(9).toString('base64url')
  readonly #options: MemoryHistoryOptions
  /** With events, by app and channel; the one that got an event the longest ago stands in front. */
  readonly #kept = new Map<string, NamedLog>()
  /** Without events, in the order in which the last one went: all that counts is their serial. */
  readonly #quiet = new Map<string, NamedLog>()
  #floor = 0
  #bytes = 0
  #evicted = 0

  constructor(options: MemoryHistoryOptions) {
    this.#options = options
  }

  append(entry: Append): Appended {
    const now = performance.now()
    const key = keyOf(entry.app, entry.channel)
    const named = this.#find(key) ?? this.#create(key, entry)
    const { log } = named
    const repeated = entry.origin === undefined ? undefined : log.serialOf(entry.origin)
    if (repeated !== undefined) return { epoch: this.#epoch, serial: repeated, isRepeat: true }
    const before = log.bytes
    const { name, made, except, origin, limits } = entry
    const { serial } = log.add({ event: name, text: made.text, except }, origin, limits, now)
    this.#bytes += log.bytes - before
    this.#quiet.delete(key)
    this.#kept.delete(key)
    const goesTo = log.size > 0 ? this.#kept : this.#quiet
    goesTo.set(key, named)
    this.#quieten(now)
    this.#makeRoom()
    const at = { epoch: this.#epoch, serial }
    this.#options.listener.deliver(entry.app, entry.channel, { ...made, at }, except)
    return { ...at, isRepeat: false }
  }

  since(app: string, channel: string, { epoch, serial }: Position): Replay {
    if (epoch !== this.#epoch) return { failed: 'epoch_changed' }
    const key = keyOf(app, channel)
    const log = this.#find(key)?.log
    const latest = log?.serial ?? this.#floor
    // Nobody was ever told of a later event.
    if (serial > latest) return { failed: 'epoch_changed' }
    const before = log?.bytes ?? 0
    const events = log === undefined ? (serial === latest ? [] : undefined) : log.since(serial, performance.now())
    this.#bytes += (log?.bytes ?? 0) - before
    return events === undefined ? { failed: 'position_expired' } : { events, upTo: { epoch, serial: latest } }
  }

  position(app: string, channel: string): Position {
    return { epoch: this.#epoch, serial: this.#find(keyOf(app, channel))?.log.serial ?? this.#floor }
  }

  retain(isKept: (app: string, channel: string) => boolean): void {
    for (const logs of [this.#kept, this.#quiet]) {
      for (const [key, { app, channel }] of logs) if (!isKept(app, channel)) this.#forget(logs, key)
    }
    // What passes by from now on has no serials: nobody's position may stand for it.
    this.#floor += 1
  }

  stats(): HistoryStats {
    this.#quieten(performance.now())
    return { channels: this.#kept.size + this.#quiet.size, bytes: this.#bytes, evicted: this.#evicted }
  }

  async close(): Promise<void> {
    this.#kept.clear()
    this.#quiet.clear()
    this.#bytes = 0
  }

  #find(key: string): NamedLog | undefined {
    return this.#kept.get(key) ?? this.#quiet.get(key)
  }

  #create(key: string, { app, channel }: Append): NamedLog {
    const named = { app, channel, log: new ChannelLog(this.#floor), overhead: channelOverhead + 2 * key.length }
    this.#bytes += named.overhead
    return named
  }

  /** Lets go of the events in front that are too old; channels behind them are looked at as they get there. */
  #quieten(now: number): void {
    for (const [key, named] of this.#kept) {
      const before = named.log.bytes
      named.log.expire(now)
      this.#bytes += named.log.bytes - before
      if (named.log.size > 0) return
      this.#kept.delete(key)
      this.#quiet.set(key, named)
    }
  }

  #makeRoom(): void {
    const { bytes } = this.#options.limits()
    while (this.#bytes > bytes) {
      const logs = this.#quiet.size > 0 ? this.#quiet : this.#kept
      const [oldest] = logs.keys()
      if (oldest === undefined) return
      this.#forget(logs, oldest)
      this.#evicted += 1
    }
  }

  #forget(logs: Map<string, NamedLog>, key: string): void {
    const named = logs.get(key)
    if (named === undefined) return
    logs.delete(key)
    this.#bytes -= named.log.bytes + named.overhead
    this.#floor = Math.max(this.#floor, named.log.serial)
  }
}

/** App ids and channel names hold no line breaks. */
function keyOf(app: string, channel: string): string {
  return `${app}\n${channel}`
}
