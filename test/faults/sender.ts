import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { onTestFinished } from 'vitest'
import { kafkaClient } from '../kafka/kafka-client.ts'

/** An answer that takes longer is not waited for. */
const answerMs = 10_000

/** How a message is to end. `refused` and `failed` are dead-lettered: before any of its actions, and by one of them. */
export type Fate = 'done' | 'filtered' | 'refused' | 'failed'

export interface Place {
  readonly id: string
  readonly key: string
  /** Counts from 0 within the key. */
  readonly sequence: number
}

export interface Content {
  readonly value: Buffer | null
  readonly fate: Fate
}

/** A message that Kafka has acknowledged. */
export interface Sent extends Place, Content {
  /** When it was written for the first time, in epoch milliseconds. */
  readonly writtenAt: number
}

export interface SenderOptions {
  readonly address: string
  readonly topic: string
  readonly keys: number
  /** What message number `n` is; undefined, and the default: a step, of which the route's `when` filters one in fifty. */
  readonly content?: (n: number, place: Place) => Content | undefined
  readonly lead?: Lead
}

/** Waits while more messages than `most` are not handled yet: a slow machine gets no backlog. */
export interface Lead {
  readonly most: number
  readonly handled: () => Promise<number>
}

/** In every record: dead letters keep it, whatever their value is. */
export const idHeader = 'sent'

/** An event with its place and more data. */
export function step(place: Place, fate: Fate, data: Readonly<Record<string, unknown>> = {}, event = 'step'): Content {
  return { value: Buffer.from(JSON.stringify({ id: place.id, event, data: { ...place, ...data } })), fate }
}

/** What the route's `when` filters comes to all keys in turn. */
export function ordinary(n: number, place: Place, event = 'step'): Content {
  return (n + place.sequence) % 50 === 25 ? step(place, 'filtered', { skip: true }, event) : step(place, 'done', {}, event)
}

/** Writes numbered messages, in order per key, and keeps account of what was acknowledged. */
export class Sender {
  readonly acknowledged: Sent[] = []
  readonly #options: SenderOptions
  #next = 0
  #due = 0
  #producer: kafkajs.Producer | undefined
  #isOver = false

  constructor(options: SenderOptions) {
    this.#options = options
    onTestFinished(async () => {
      this.#isOver = true
      await this.#producer?.disconnect()
    })
  }

  /** `perSecond` spreads them out; without it they go as fast as Kafka takes them. */
  async send(count: number, perSecond = Number.POSITIVE_INFINITY): Promise<void> {
    const size = Number.isFinite(perSecond) ? Math.max(1, Math.round(perSecond / 20)) : 500
    const startedAt = performance.now()
    for (let sent = 0; sent < count; sent += size) {
      await this.#untilInReach()
      await this.#sendBatch(Math.min(size, count - sent))
      const due = startedAt + ((sent + size) / perSecond) * 1000 - performance.now()
      if (due > 0) await sleep(due)
    }
  }

  /** Sends at this rate until the promise settles. */
  async sendDuring(work: Promise<unknown>, perSecond: number): Promise<void> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    void work.then(over, over)
    while (!isOver) await this.send(Math.ceil(perSecond / 10), perSecond)
    await work
  }

  async #sendBatch(count: number): Promise<void> {
    const { topic, keys, content } = this.#options
    const writtenAt = Date.now()
    const batch = Array.from({ length: count }, (): Sent => {
      const n = this.#next++
      const place = { id: `m${n}`, key: `k${n % keys}`, sequence: Math.floor(n / keys) }
      return { ...place, ...(content?.(n, place) ?? ordinary(n, place)), writtenAt }
    })
    await this.#write({ topic, acks: -1, messages: batch.map(({ id, key, value }) => ({ key, value, headers: { [idHeader]: id } })) })
    this.acknowledged.push(...batch)
    this.#due += batch.filter(({ fate }) => fate === 'done').length
  }

  async #untilInReach(): Promise<void> {
    const { lead } = this.#options
    while (lead !== undefined && !this.#isOver && this.#due - (await lead.handled()) > lead.most) await sleep(20)
  }

  /** Until it is acknowledged. After an outage a producer of kafkajs may wait for ever: each failure gets a new one. */
  async #write(records: kafkajs.ProducerRecord): Promise<void> {
    while (!this.#isOver) {
      this.#producer ??= this.#makeProducer()
      const producer = this.#producer
      const attempt = producer.connect().then(() => producer.send(records))
      const outcome = await Promise.race([attempt.then(() => 'written' as const), sleep(answerMs, 'silent' as const)]).catch(
        () => 'refused' as const,
      )
      if (outcome === 'written') return
      this.#producer = undefined
      // It may never end, or fail once more: nobody waits for it.
      void attempt.then(() => producer.disconnect()).catch(() => {})
      await sleep(100)
    }
  }

  #makeProducer(): kafkajs.Producer {
    const kafka = kafkaClient(this.#options.address.split(','))
    return kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner, maxInFlightRequests: 1, retry: { retries: 0 } })
  }
}
