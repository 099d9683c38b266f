import type { HistoryLimits, StoredEvent } from './history.ts'

interface Kept {
  readonly stored: StoredEvent
  readonly origin: string | undefined
  readonly bytes: number
  /** In ms of the monotonic clock. */
  readonly until: number
}

/** What an event takes beside its texts, roughly: three objects and their places. */
const eventOverhead = 160
/** Events that were dropped stay in the array in front until there are so many. */
const mostDropped = 64

/** The latest events of one channel, with serials that never go back. */
export class ChannelLog {
  serial: number
  /** Of the events and their origins. */
  bytes = 0
  /** From `#head` on, in the order of their serials, without holes. */
  #kept: Kept[] = []
  #head = 0
  #byOrigin: Map<string, number> | undefined

  /** `serial` is that of the event before the first. */
  constructor(serial: number) {
    this.serial = serial
  }

  get size(): number {
    return this.#kept.length - this.#head
  }

  /** The serial of the event that came from there, as long as it is kept. */
  serialOf(origin: string): number | undefined {
    return this.#byOrigin?.get(origin)
  }

  add(event: Omit<StoredEvent, 'serial'>, origin: string | undefined, limits: HistoryLimits, now: number): StoredEvent {
    this.serial += 1
    const stored: StoredEvent = { serial: this.serial, event: event.event, text: event.text, except: event.except }
    // Strings take one or two bytes a character: two, so that the limit holds for all.
    const bytes = eventOverhead + 2 * (event.event.length + event.text.length + (origin?.length ?? 0))
    this.#kept.push({ stored, origin, bytes, until: now + limits.ttlMs })
    this.bytes += bytes
    if (origin !== undefined) {
      this.#byOrigin ??= new Map()
      this.#byOrigin.set(origin, this.serial)
    }
    this.#trim(limits, now)
    return stored
  }

  /** Drops what is too old. */
  expire(now: number): void {
    for (let first = this.#kept[this.#head]; first !== undefined && first.until <= now; first = this.#kept[this.#head]) this.#drop(first)
  }

  /** What came after `serial`; undefined where some of it is gone. */
  since(serial: number, now: number): readonly StoredEvent[] | undefined {
    this.expire(now)
    const missed = this.serial - serial
    if (missed > this.size) return undefined
    return missed === 0 ? [] : this.#kept.slice(-missed).map(({ stored }) => stored)
  }

  #trim({ size, bytes }: HistoryLimits, now: number): void {
    this.expire(now)
    for (let first = this.#kept[this.#head]; first !== undefined; first = this.#kept[this.#head]) {
      if (this.size <= size && this.bytes <= bytes) return
      this.#drop(first)
    }
  }

  #drop({ origin, bytes }: Kept): void {
    this.#head += 1
    this.bytes -= bytes
    if (origin !== undefined) this.#byOrigin?.delete(origin)
    if (this.#head < mostDropped && this.#head < this.#kept.length) return
    this.#kept.splice(0, this.#head)
    this.#head = 0
  }
}
