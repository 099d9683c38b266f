import type { CommittedOffset, ConsumerStatus, RecordSink, TopicPartition } from '../../src/brokers/broker.ts'
import type { RecordSequence, SourceRecord } from '../../src/compiler/plan.ts'

/** Only a broken broker meets it; a passing test waits for events. */
const PATIENCE_MS = 25_000

/** A RecordSink that keeps what it is given and can be awaited. */
export class Receiver implements RecordSink {
  readonly received: SourceRecord[] = []
  readonly deliveries: { topic: string; partition: number; count: number; nextOffset: number; highWatermark: number }[] = []
  readonly statuses: ConsumerStatus[] = []
  readonly revocations: { partitions: readonly TopicPartition[]; lost: boolean }[] = []
  readonly owned = new Set<string>()
  /** What each partition was assigned with, last. */
  readonly committed = new Map<string, CommittedOffset>()
  /** Run by `records`, before anything else. */
  onRecords: (records: readonly SourceRecord[]) => void = () => {}
  /** Awaited by `revoked`. */
  onRevoked: (partitions: readonly TopicPartition[], lost: boolean) => Promise<void> = async () => {}
  /** Run by `assigned`. */
  onAssigned: (partitions: readonly CommittedOffset[]) => void = () => {}
  /** Broken promises of the broker; every test ends with none. */
  readonly faults: string[] = []
  readonly #waiting = new Set<() => void>()
  readonly #lastOffsets = new Map<string, number>()

  get values(): readonly (string | null)[] {
    return this.received.map(record => record.value?.toString() ?? null)
  }

  assigned(partitions: readonly CommittedOffset[]): void {
    for (const partition of partitions) {
      if (this.owned.has(keyOf(partition))) this.faults.push(`${keyOf(partition)} was assigned twice`)
      this.owned.add(keyOf(partition))
      this.committed.set(keyOf(partition), partition)
      this.#lastOffsets.delete(keyOf(partition))
    }
    this.onAssigned(partitions)
    this.#changed()
  }

  async revoked(partitions: readonly TopicPartition[], lost: boolean): Promise<void> {
    for (const partition of partitions)
      if (!this.owned.delete(keyOf(partition))) this.faults.push(`${keyOf(partition)} was revoked without being assigned`)
    this.revocations.push({ partitions, lost })
    this.#changed()
    await this.onRevoked(partitions, lost)
    this.#changed()
  }

  records(topic: string, partition: number, given: RecordSequence, nextOffset: number, highWatermark: number): void {
    const records = [...given]
    const key = keyOf({ topic, partition })
    if (!this.owned.has(key)) this.faults.push(`${key} delivered without being assigned`)
    for (const record of records) {
      const last = this.#lastOffsets.get(key) ?? -1
      if (record.offset <= last) this.faults.push(`${key} delivered offset ${record.offset} after ${last}`)
      this.#lastOffsets.set(key, record.offset)
    }
    this.onRecords(records)
    this.received.push(...records)
    this.deliveries.push({ topic, partition, count: records.length, nextOffset, highWatermark })
    this.#changed()
  }

  status(event: ConsumerStatus): void {
    this.statuses.push(event)
    this.#changed()
  }

  joined(): Promise<void> {
    return this.until('it has joined', () => this.statuses.some(status => status.kind === 'joined'))
  }

  owns(count: number): Promise<void> {
    return this.until(`it has ${count} partitions`, () => this.owned.size === count)
  }

  has(count: number): Promise<void> {
    return this.until(`it has ${count} records`, () => this.received.length >= count)
  }

  /** Looks again after each event; rejects with what was waited for. */
  until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        const state = JSON.stringify({
          owned: [...this.owned],
          values: this.values.slice(-5),
          count: this.received.length,
          statuses: this.statuses,
        })
        reject(new Error(`waited in vain until ${what}; ${state}`))
      }, PATIENCE_MS).unref()
      const look = (): void => {
        if (!holds()) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}

export function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
