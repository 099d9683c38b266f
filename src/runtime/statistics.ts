import type { Cancel, Clock, EngineLog } from '../engine/ports.ts'
import type { SubscriptionRunner } from './subscription-runner.ts'

/** What all subscriptions have done since the start, and what is still before them. */
export interface Traffic {
  /** Messages that reached an end. */
  readonly processed: number
  /** Routes and messages that were given up: dead-lettered or skipped. */
  readonly errors: number
  /** Messages that wait at the broker, as far as it has said. */
  readonly lag: number
}

export interface StatisticsOptions {
  readonly clock: Clock
  readonly log: Pick<EngineLog, 'info'>
  readonly read: () => Traffic
}

/** How often is looked whether there is something to say, in ms: also the shortest time between two lines. */
const lookEveryMs = 1_000
const messagesPerLine = 1_000
const lineEveryMs = 10_000

/** A log line after every 1,000 messages, but at most one a second, and every 10 s while there is any traffic; silence where there is none. */
export class Statistics {
  readonly #options: StatisticsOptions
  #cancel: Cancel | undefined
  #last: Traffic
  #lastAt: number

  constructor(options: StatisticsOptions) {
    this.#options = options
    this.#last = options.read()
    this.#lastAt = options.clock.monotonic()
    this.#look()
  }

  /** Says what has not been said yet. */
  stop(): void {
    this.#cancel?.()
    if (this.#options.read().processed > this.#last.processed) this.#say()
  }

  #look(): void {
    const { clock, read } = this.#options
    this.#cancel = clock.schedule(lookEveryMs, () => this.#look())
    const moved = read().processed - this.#last.processed
    if (moved > 0 && (moved >= messagesPerLine || clock.monotonic() - this.#lastAt >= lineEveryMs)) this.#say()
    // Without traffic the next line's time starts now. Less than before: a subscription went away with its counts.
    else if (moved <= 0) this.#begin()
  }

  #say(): void {
    const { clock, log, read } = this.#options
    const { processed, errors, lag } = read()
    const seconds = Math.max(clock.monotonic() - this.#lastAt, 1) / 1_000
    const perSecond = Math.round((processed - this.#last.processed) / seconds)
    log.info({ processed, errors, perSecond, lag }, 'statistics')
    this.#begin()
  }

  #begin(): void {
    this.#last = this.#options.read()
    this.#lastAt = this.#options.clock.monotonic()
  }
}

export function trafficOf(runners: Iterable<SubscriptionRunner>): Traffic {
  const traffic = { processed: 0, errors: 0, lag: 0 }
  for (const { processor } of runners) {
    traffic.processed += processor.counters.settled
    for (const { deadLettered, failed } of processor.counters.routes.values()) traffic.errors += deadLettered + failed
    for (const { lag, highWatermark } of processor.assignments) if (highWatermark >= 0) traffic.lag += lag
  }
  return traffic
}
