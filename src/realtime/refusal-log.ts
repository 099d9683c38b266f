import { performance } from 'node:perf_hooks'
import type { Counters, RefusalReason } from './counters.ts'
import type { LiveSettings, RealtimeLog } from './settings.ts'

/** Refusals that kept a client from connecting. Those of stopping are no news; those of subscriptions and messages are for their client to see. */
const ofConnections = [
  'path',
  'app-key',
  'protocol-version',
  'origin',
  'capacity',
  'app-capacity',
  'address-capacity',
  'token',
] as const satisfies readonly RefusalReason[]

/** Tells of connections that were refused: one line for all of some seconds, however many strangers there are. */
export class RefusalLog {
  readonly #counters: Counters
  readonly #settings: LiveSettings
  readonly #log: RealtimeLog
  #told: ReadonlyMap<RefusalReason, number> = new Map()
  #toldAt = Number.NEGATIVE_INFINITY

  constructor(counters: Counters, settings: LiveSettings, log: RealtimeLog) {
    this.#counters = counters
    this.#settings = settings
    this.#log = log
  }

  /** To be called now and then. */
  look(): void {
    if (performance.now() - this.#toldAt >= this.#settings.timings.refusalLogMs) this.tell()
  }

  /** What has not been told yet. */
  tell(): void {
    const { refusals } = this.#counters
    const news = ofConnections
      .map(reason => [reason, (refusals.get(reason) ?? 0) - (this.#told.get(reason) ?? 0)] as const)
      .filter(([, count]) => count > 0)
    if (news.length === 0) return
    this.#told = new Map(refusals)
    this.#toldAt = performance.now()
    this.#log.warn({ refused: Object.fromEntries(news) }, 'connections were refused')
  }
}
