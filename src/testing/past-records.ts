import { type Broker, BrokerError, type Consumer, type RecordSink, type TopicPartition } from '../brokers/broker.ts'
import type { RecordSequence, SourceRecord } from '../compiler/plan.ts'

/** Which messages of the past are meant: so many in all, or those since a time (epoch milliseconds). */
export type PastRange = { readonly kind: 'last'; readonly messages: number } | { readonly kind: 'since'; readonly timestamp: number }

/** Offsets from `start` up to, not including, `end` of one partition. */
export interface PastPart extends TopicPartition {
  readonly start: number
  readonly end: number
}

/** What has to be asked to know where to read. */
type PastOffsets = Pick<Broker, 'topicOffsets' | 'offsetsSince'>

export interface PastTopic<B extends PastOffsets> {
  readonly broker: B
  readonly topic: string
}

export interface PastReading<B extends PastOffsets> {
  readonly broker: B
  readonly parts: readonly PastPart[]
}

/** A broker that gives nothing for this long is not waited for. */
const patienceMs = 15_000

/** Where to read, by broker. `last` is shared out over all partitions: a quiet one gives what it has, busy ones share the rest evenly. */
export async function planReading<B extends PastOffsets>(
  topics: readonly PastTopic<B>[],
  range: PastRange,
): Promise<readonly PastReading<B>[]> {
  const found = await Promise.all(
    topics.map(async ({ broker, topic }) => {
      const offsets = await broker.topicOffsets(topic)
      const starts = range.kind === 'since' && offsets.length > 0 ? await broker.offsetsSince(topic, range.timestamp) : []
      return offsets.map(({ partition, low, high }) => {
        const start = starts.find(each => each.partition === partition)?.offset ?? low
        return { broker, part: { topic, partition, start: Math.min(start, high), end: high } }
      })
    }),
  )
  const all = found.flat()
  const parts = range.kind === 'last' ? lastOf(all, range.messages) : all
  return [...new Set(parts.map(({ broker }) => broker))].map(broker => ({
    broker,
    parts: parts.filter(each => each.broker === broker).map(({ part }) => part),
  }))
}

export function countMessages(readings: readonly Pick<PastReading<Broker>, 'parts'>[]): number {
  return readings.flatMap(({ parts }) => parts).reduce((sum, { start, end }) => sum + end - start, 0)
}

function lastOf<T extends { readonly part: PastPart }>(all: readonly T[], messages: number): readonly T[] {
  const smallestFirst = [...all].sort((a, b) => a.part.end - a.part.start - (b.part.end - b.part.start))
  let rest = messages
  return smallestFirst.map((each, index) => {
    const share = Math.min(each.part.end - each.part.start, Math.floor(rest / (smallestFirst.length - index)))
    rest -= share
    return { ...each, part: { ...each.part, start: each.part.end - share } }
  })
}

/** Takes the next records of one partition, in order. Where it needs time, that partition is read no further meanwhile. */
export type PastReceiver = (records: readonly SourceRecord[]) => Promise<void> | undefined

/**
 * Reads past records without a group, so that no consumer notices and no offset moves. Resolves with the parts that the broker did not give to their end
 * (an open transaction stands there). Rejects with BrokerError, and with what the receiver rejects with.
 */
export async function readPast({ broker, parts }: PastReading<Broker>, receive: PastReceiver): Promise<readonly PastPart[]> {
  const open = new Map(parts.filter(({ start, end }) => start < end).map(part => [positionOf(part), part]))
  if (open.size === 0) return []
  const read = new PastSink(open, receive)
  const options = {
    group: undefined,
    topics: { names: [...new Set(parts.map(({ topic }) => topic))], patterns: [] },
    from: { kind: 'latest' },
    startAt: parts.map(({ topic, partition, start }) => ({ topic, partition, offset: start })),
    maxWaitMs: undefined,
  } as const
  const consumer = await broker.consume(options, read)
  try {
    await read.all(consumer)
  } finally {
    await consumer.stop()
  }
  return [...open.values()]
}

/** Takes what belongs to the open parts, and closes a part once the broker has given its end. */
class PastSink implements RecordSink {
  readonly #open: Map<string, PastPart>
  readonly #receive: PastReceiver
  /** Partitions whose records are being worked on. */
  #busy = 0
  #consumer: Consumer | undefined
  #patience: NodeJS.Timeout | undefined
  /** Undefined while nobody waits: deliveries begin once `all` was called. */
  #end: ((failure?: Error) => void) | undefined
  #failure: Error | undefined

  constructor(open: Map<string, PastPart>, receive: PastReceiver) {
    this.#open = open
    this.#receive = receive
  }

  /** Resolves when every part is closed, or when the broker gives no more; rejects with what kept it from giving. */
  all(consumer: Consumer): Promise<void> {
    this.#consumer = consumer
    return new Promise<void>((resolve, reject) => {
      this.#end = failure => {
        clearTimeout(this.#patience)
        if (failure === undefined) resolve()
        else reject(failure)
      }
      this.#patience = setTimeout(() => {
        if (this.#busy > 0) this.#patience?.refresh()
        else this.#end?.(this.#failure)
      }, patienceMs)
    })
  }

  assigned(): void {}

  async revoked(): Promise<void> {}

  records(topic: string, partition: number, records: RecordSequence, nextOffset: number): void {
    const part = this.#open.get(positionOf({ topic, partition }))
    if (part === undefined) return
    this.#failure = undefined
    this.#patience?.refresh()
    const work = this.#receive([...records].filter(({ offset }) => offset >= part.start && offset < part.end))
    if (work !== undefined) void this.#wait(part, nextOffset, work)
    else if (nextOffset >= part.end) this.#close(part)
  }

  async #wait(part: PastPart, nextOffset: number, work: Promise<void>): Promise<void> {
    this.#consumer?.pause([part])
    this.#busy++
    try {
      await work
      if (nextOffset >= part.end) this.#close(part)
      else this.#consumer?.resume([part])
    } catch (error) {
      this.#end?.(error instanceof Error ? error : new Error(String(error)))
    } finally {
      this.#busy--
      this.#patience?.refresh()
    }
  }

  #close(part: PastPart): void {
    this.#open.delete(positionOf(part))
    this.#consumer?.pause([part])
    if (this.#open.size === 0) this.#end?.()
  }

  status(event: Parameters<RecordSink['status']>[0]): void {
    if (event.kind !== 'disconnected') return
    this.#failure = event.error
    if (event.error instanceof BrokerError && !event.error.retriable) this.#end?.(event.error)
  }
}

function positionOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
