import type { DeadLetterCause } from './dead-letter.ts'
import type { Cancel, Clock, EngineLog } from './ports.ts'

/** So many messages that are given up have a line of their own in `spanMs`; those beyond share one, with how many there were for each reason. */
const lines = 20
const spanMs = 1_000

/** Reasons in that line. Handlers name their errors as they like. */
const longestList = 20
const others = '(others)'

/** Tells of messages that are given up, however many there are. */
export class GivenUpLog {
  readonly #clock: Clock
  readonly #log: EngineLog
  #since = Number.NEGATIVE_INFINITY
  #said = 0
  readonly #unsaid = new Map<string, number>()
  #cancel: Cancel | undefined

  constructor(clock: Clock, log: EngineLog) {
    this.#clock = clock
    this.#log = log
  }

  /** `fields` is asked for where the message has a line of its own. */
  say({ route, type }: DeadLetterCause, fields: () => object, message: string): void {
    const now = this.#clock.monotonic()
    if (now - this.#since >= spanMs) {
      this.tell()
      this.#since = now
      this.#said = 0
    }
    if (this.#said < lines) {
      this.#said++
      this.#log.warn(fields(), message)
      return
    }
    const reason = route === undefined ? type : `${route}: ${type}`
    const listed = this.#unsaid.size < longestList || this.#unsaid.has(reason) ? reason : others
    this.#unsaid.set(listed, (this.#unsaid.get(listed) ?? 0) + 1)
    this.#cancel ??= this.#clock.schedule(this.#since + spanMs - now, () => this.tell())
  }

  /** What has not been told yet. */
  tell(): void {
    this.#cancel?.()
    this.#cancel = undefined
    if (this.#unsaid.size === 0) return
    let messages = 0
    for (const count of this.#unsaid.values()) messages += count
    this.#log.warn({ messages, reasons: Object.fromEntries(this.#unsaid) }, `${messages} more messages were dead-lettered or skipped`)
    this.#unsaid.clear()
  }
}
