import type { OutgoingRecord } from '../broker.ts'
import { keyPartition } from '../key-partition.ts'
import type { PartitionLeader } from './partition-leader.ts'
import { PartitionQueue, type Waiting } from './partition-queue.ts'

/** How long what is known of a topic holds: by then new partitions are found, as Java's producer does (`metadata.max.age.ms`). */
const MAX_AGE_MS = 300_000

/** The queues of a topic that records are written to. */
export class OutgoingTopic {
  readonly name: string
  /** Records whose partition is not known yet. */
  readonly #unplaced: PartitionQueue
  /** Also of partitions that are there no more. */
  readonly #partitions: PartitionQueue[] = []
  /** As the broker said last. */
  #count = 0
  #askedAt = 0
  /** Spreads records without a key over the partitions in turn. */
  #turn = 0

  constructor(name: string) {
    this.name = name
    this.#unplaced = new PartitionQueue(name, -1)
  }

  get queues(): readonly PartitionQueue[] {
    return [this.#unplaced, ...this.#partitions]
  }

  get isOutOfDate(): boolean {
    return Date.now() - this.#askedAt > MAX_AGE_MS
  }

  get isIdle(): boolean {
    return this.queues.every(({ bytes, isResting }) => bytes === 0 && !isResting)
  }

  isAsked(): void {
    this.#askedAt = Date.now()
  }

  queueOf({ key, partition }: OutgoingRecord): PartitionQueue {
    if (this.#count === 0) return this.#unplaced
    const place = partition ?? (key === null ? this.#nextInTurn() : keyPartition(key, this.#count))
    return (place < this.#count ? this.#partitions[place] : undefined) ?? this.#unplaced
  }

  /** The leaders of its partitions by their numbers. What waited for that finds its partition; answers with what has none. */
  learn(leaders: readonly (PartitionLeader | undefined)[]): readonly { readonly queue: PartitionQueue; readonly waiting: Waiting }[] {
    this.#count = leaders.length
    while (this.#partitions.length < this.#count) this.#partitions.push(new PartitionQueue(this.name, this.#partitions.length))
    for (const [partition, queue] of this.#partitions.entries()) queue.follow(leaders[partition])
    const lost: { queue: PartitionQueue; waiting: Waiting }[] = []
    for (const queue of [...this.#partitions.slice(this.#count), this.#unplaced])
      if (!queue.isSending)
        for (const waiting of queue.takeAll()) {
          const place = this.queueOf(waiting.record)
          if (place === this.#unplaced) lost.push({ queue, waiting })
          else {
            queue.bytes -= waiting.bytes
            place.push(waiting)
          }
        }
    return lost
  }

  /** One that can be written to, where there is one. */
  #nextInTurn(): number {
    for (let tries = 0; tries < this.#count; tries++) {
      const place = this.#turn++ % this.#count
      if (this.#partitions[place]?.leader !== undefined) return place
    }
    return this.#turn++ % this.#count
  }
}
