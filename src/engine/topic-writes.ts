import type { Assignment } from './assignment.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { EnginePorts } from './ports.ts'
import { retryDelay } from './retry-delay.ts'
import type { Seat } from './seat.ts'

/** Longest wait for one dead letter or retry to be acknowledged, in ms. */
export const writeTimeoutMs = 60_000

const writeWaits = { backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'full' } as const

/** One record that a message depends on. */
export interface TopicWrite {
  readonly topic: string
  readonly assignment: Assignment
  /** Of the message; undefined where its lane has gone on. */
  readonly seat: Seat | undefined
  /** The message has more to do, and needs a place for it. */
  readonly goesOn: boolean
  write(): Promise<void>
  failed(error: unknown, retryInMs: number): 'again' | 'refused'
}

/** Writes to the topics that messages of one subscription end in. While a topic fails, messages that wait for it take no place. */
export class TopicWrites {
  readonly #ports: EnginePorts
  /** Writes that failed and are tried again, for each topic that has any. */
  readonly #failing = new Map<string, number>()

  constructor(ports: EnginePorts) {
    this.#ports = ports
  }

  isFailing(topic: string): boolean {
    return this.#failing.has(topic)
  }

  /** Writes until the broker has acknowledged it, the partition is given up (`released`), or `failed` sees no sense in it. Never rejects. */
  async untilWritten(write: TopicWrite): Promise<'written' | 'released' | 'refused'> {
    const { topic, seat } = write
    let isAway = this.isFailing(topic)
    if (isAway) seat?.goAway()
    let hasFailed = false
    const end = await this.#tryUntilWritten(write, () => {
      if (hasFailed) return
      hasFailed = true
      this.#failing.set(topic, (this.#failing.get(topic) ?? 0) + 1)
      if (!isAway) seat?.goAway()
      isAway = true
    })
    if (hasFailed) this.#failsNoMore(topic)
    if (isAway) await comeBack(write)
    return end
  }

  async #tryUntilWritten({ assignment, write, failed }: TopicWrite, waits: () => void): Promise<'written' | 'released' | 'refused'> {
    for (let attempt = 1; ; attempt++) {
      try {
        await assignment.settle(write(), writeTimeoutMs)
        return 'written'
      } catch (error) {
        if (error instanceof AttemptReleased) return 'released'
        const retryInMs = retryDelay(writeWaits, attempt, this.#ports.random)
        if (failed(error, retryInMs) === 'refused') return 'refused'
        waits()
        if (!(await assignment.wait(retryInMs))) return 'released'
      }
    }
  }

  #failsNoMore(topic: string): void {
    const others = (this.#failing.get(topic) ?? 0) - 1
    if (others > 0) this.#failing.set(topic, others)
    else this.#failing.delete(topic)
  }
}

async function comeBack({ assignment, seat, goesOn }: TopicWrite): Promise<void> {
  // Where the partition is leaving it is back without having waited, to end.
  if (goesOn) await seat?.untilBack(assignment)
  else seat?.comeBack()
}
