import { setTimeout as delay } from 'node:timers/promises'
import type { WebhookEvent } from '../config/router-config.ts'
import type { Counters } from './counters.ts'
import type { LiveSettings, RealtimeLog, ResolvedApp } from './settings.ts'
import { sign } from './signature.ts'

export interface WebhookPayload extends Readonly<Record<string, unknown>> {
  readonly name: WebhookEvent
}

export interface WebhookSenderOptions {
  readonly app: ResolvedApp
  readonly url: string
  readonly counters: Counters
  readonly settings: LiveSettings
  readonly log: RealtimeLog
}

const mostInBatch = 100
const mostWaiting = 10_000
const answerWithinMs = 10_000
const longestWaitMs = 30_000

interface WaitingEvent {
  readonly payload: WebhookPayload
  /** Epoch milliseconds. */
  readonly at: number
}

/** Posts events to one address in their order, in signed batches; a batch that is not taken is tried again until its events are too old. */
export class WebhookSender {
  readonly #options: WebhookSenderOptions
  readonly #stopping = new AbortController()
  #waiting: WaitingEvent[] = []
  #work: Promise<void> | undefined
  /** Events that went since their room was needed, and of which the log does not know yet. */
  #overflowed = 0

  constructor(options: WebhookSenderOptions) {
    this.#options = options
  }

  /** How many more events may wait. */
  get room(): number {
    return mostWaiting - this.#waiting.length
  }

  add(payload: WebhookPayload): void {
    if (this.#stopping.signal.aborted) return
    if (this.#waiting.length >= mostWaiting) {
      this.#waiting.shift()
      this.#options.counters.webhookEventsDropped += 1
      this.#overflowed += 1
    }
    this.#waiting.push({ payload, at: Date.now() })
    this.#work ??= this.#sendAll()
  }

  async close(graceMs: number): Promise<void> {
    this.#stopping.abort()
    const deadline = delay(graceMs, undefined, { ref: false })
    await Promise.race([this.#work, deadline])
  }

  async #sendAll(): Promise<void> {
    // Lets one turn's events, and those of a moment after, travel together.
    await this.#pause(this.#options.settings.timings.webhookBatchMs)
    while (this.#waiting.length > 0) {
      this.#tellOverflow()
      const batch = this.#waiting.splice(0, mostInBatch)
      if (!(await this.#send(batch))) {
        this.#options.counters.webhookEventsDropped += batch.length
        this.#tellDropped(batch.length, 'the address did not take them in time')
      }
    }
    // In the step in which nothing waits any more: what is added from here on begins anew.
    this.#work = undefined
  }

  /** False where the batch was given up. */
  async #send(batch: readonly WaitingEvent[]): Promise<boolean> {
    const { counters, settings } = this.#options
    const { webhookRetryMs, webhookRetryForMs } = settings.timings
    const body = JSON.stringify({ time_ms: Date.now(), events: batch.map(({ payload }) => payload) })
    const giveUpAt = (batch[0]?.at ?? 0) + webhookRetryForMs
    for (let attempt = 0; ; attempt += 1) {
      if (await this.#post(body)) {
        counters.webhooksSent += 1
        return true
      }
      const waitMs = Math.min(longestWaitMs, webhookRetryMs * 2 ** attempt) * (0.5 + Math.random() / 2)
      if (this.#stopping.signal.aborted || Date.now() + waitMs > giveUpAt) return false
      await this.#pause(waitMs)
      counters.webhookRetries += 1
    }
  }

  async #post(body: string): Promise<boolean> {
    const { app, url, log } = this.#options
    try {
      const response = await fetch(url, {
        method: 'POST',
        body,
        redirect: 'manual',
        signal: AbortSignal.timeout(answerWithinMs),
        headers: { 'content-type': 'application/json', 'x-pusher-key': app.key, 'x-pusher-signature': sign(app.secret, body) },
      })
      await response.body?.cancel()
      if (response.ok) return true
      log.debug({ app: app.id, status: response.status }, 'a webhook was not taken')
    } catch (error) {
      log.debug({ app: app.id, err: error }, 'a webhook could not be sent')
    }
    return false
  }

  /** Stopping ends every pause: what waits gets its last try at once. */
  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stopping.signal, ref: false }).catch(() => undefined)
  }

  /** One line for all that went since the last one. */
  #tellOverflow(): void {
    if (this.#overflowed > 0) this.#tellDropped(this.#overflowed, 'too many events wait')
    this.#overflowed = 0
  }

  #tellDropped(count: number, reason: string): void {
    const { app, log } = this.#options
    log.warn({ app: app.id, events: count, reason }, 'webhook events were dropped')
  }
}
