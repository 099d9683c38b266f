import { type Append, type Appended, HistoryUnavailable } from '../history/history.ts'

/** Events in one step, and their bytes: a script that runs long keeps Redis from everybody else. */
const mostAtOnce = 200
const mostBytesAtOnce = 256 * 1024
/** Past so many bytes that wait, Redis is too slow: whoever comes waits outside. */
const mostWaitingBytes = 32 * 1024 * 1024
/** What an event takes beside its texts while it waits, roughly: its objects, promises and places. */
const eventOverhead = 500

interface Waiting {
  readonly entry: Append
  readonly bytes: number
  readonly resolve: (appended: Appended) => void
  readonly reject: (reason: unknown) => void
}

/** Appends events one group after the other, so that those of a channel stay in their order; what comes meanwhile goes together. */
export class OutgoingAppends {
  readonly #append: (entries: readonly Append[]) => Promise<readonly Appended[]>
  #waiting: Waiting[] = []
  #bytes = 0
  #isSending = false

  constructor(append: (entries: readonly Append[]) => Promise<readonly Appended[]>) {
    this.#append = append
  }

  /** Rejects with what the group was rejected with. */
  add(entry: Append): Promise<Appended> {
    if (this.#bytes > mostWaitingBytes)
      return Promise.reject(new HistoryUnavailable('The history in Redis is too slow for all that is to be kept'))
    const { channel, made, origin } = entry
    const bytes = eventOverhead + channel.length + made.event.length + made.data.length + (origin?.length ?? 0)
    this.#bytes += bytes
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, bytes, resolve, reject })
      if (!this.#isSending) void this.#send()
    })
  }

  async #send(): Promise<void> {
    this.#isSending = true
    // The rest of this turn of the event loop goes along.
    await new Promise(resolve => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const group = this.#take()
      try {
        const appended = await this.#append(group.map(({ entry }) => entry))
        for (const [index, { resolve, reject }] of group.entries()) {
          const answer = appended[index]
          if (answer === undefined) reject(new HistoryUnavailable('Redis has answered for fewer events than it was given'))
          else resolve(answer)
        }
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    this.#isSending = false
  }

  #take(): readonly Waiting[] {
    let bytes = 0
    let count = 0
    for (const next of this.#waiting) {
      if (count > 0 && (count >= mostAtOnce || bytes + next.bytes > mostBytesAtOnce)) break
      bytes += next.bytes
      count += 1
    }
    this.#bytes -= bytes
    return this.#waiting.splice(0, count)
  }
}
