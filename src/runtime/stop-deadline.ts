import type { EngineLog } from '../engine/ports.ts'
import { withinLimit } from './time-limit.ts'

/** So that a very short grace period still closes what closes at once, in ms. */
const leastGraceMs = 500

/** One point in time for everything that a stop waits for. What has not ended by then is named, and goes on without being waited for. */
export class StopDeadline {
  /** What was not waited for any longer. */
  readonly cut: string[] = []
  readonly #log: Pick<EngineLog, 'error'>
  readonly #startedAt = performance.now()
  readonly #graceMs: number

  constructor(graceMs: number, log: Pick<EngineLog, 'error'>) {
    this.#graceMs = Math.max(graceMs, leastGraceMs)
    this.#log = log
  }

  get tookMs(): number {
    return Math.round(performance.now() - this.#startedAt)
  }

  /** In ms; `reserveMs` are kept for what comes after. */
  leftMs(reserveMs = 0): number {
    return Math.max(this.#graceMs - reserveMs - (performance.now() - this.#startedAt), 0)
  }

  /** Resolves with what the work comes to; undefined where it fails, which is logged, or the time is over. Never rejects. */
  async wait<T>(part: string, work: Promise<T>, reserveMs = 0): Promise<T | undefined> {
    try {
      const end = await withinLimit(work, this.leftMs(reserveMs))
      if (end.kind === 'ended') return end.value
    } catch (error) {
      this.#log.error({ err: error, part }, 'a part of the router could not be stopped')
    }
    this.cut.push(part)
    return undefined
  }
}
