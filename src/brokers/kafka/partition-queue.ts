import type { OutgoingRecord } from '../broker.ts'
import type { PartitionLeader } from './partition-leader.ts'

/** A record and whoever waits for it. */
export interface Waiting {
  readonly record: OutgoingRecord
  readonly bytes: number
  /** Epoch milliseconds: when it came. */
  readonly since: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** What fits into a request still. */
export interface Room {
  bytes: number
  records: number
}

/** Records that wait for one partition, or for what is known of their topic. One group of them at a time is under way, so they keep their order. */
export class PartitionQueue {
  readonly topic: string
  /** -1: not known yet. */
  readonly partition: number
  isSending = false
  /** It waits before it tries again. */
  isResting = false
  /** Refusals in a row that may pass, and since when. */
  failures = 0
  failingSince = 0
  /** Of all that is in here, or under way. */
  bytes = 0
  #leader: PartitionLeader | undefined
  #waiting: Waiting[] = []
  /** What was sent before, in the groups in which it is sent again. */
  #again: (readonly Waiting[])[] = []

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** The broker to send to; undefined: to be asked for. */
  get leader(): PartitionLeader | undefined {
    return this.#leader
  }

  /** Nothing waits; something may be under way. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#again.length === 0
  }

  push(waiting: Waiting): void {
    this.#waiting.push(waiting)
    this.bytes += waiting.bytes
  }

  /** The oldest records, as many as there is room for; at least one where `isFirst`. They are counted as long as nobody says what became of them. */
  take(room: Room, isFirst: boolean): readonly Waiting[] {
    const [group] = this.#again
    const count = countFitting(group ?? this.#waiting, room, isFirst)
    if (group !== undefined && count < group.length && !isFirst) return []
    const taken = group ?? this.#waiting.splice(0, count)
    if (group !== undefined) this.#again.shift()
    for (const { bytes } of taken) room.bytes -= bytes
    room.records -= taken.length
    return taken
  }

  takeAll(): readonly Waiting[] {
    const all = [...this.#again.flat(), ...this.#waiting]
    this.#again = []
    this.#waiting = []
    return all
  }

  /** What was taken, before everything else; each group travels by itself. */
  putBack(...groups: readonly (readonly Waiting[])[]): void {
    this.#again.unshift(...groups.filter(group => group.length > 0))
  }

  /** What has waited since then, or longer. */
  takeOlder(time: number): readonly Waiting[] {
    const late = ({ since }: Waiting): boolean => since <= time
    const found = [...this.#again.flat(), ...this.#waiting].filter(late)
    if (found.length === 0) return found
    this.#again = this.#again.map(group => group.filter(waiting => !late(waiting))).filter(group => group.length > 0)
    this.#waiting = this.#waiting.filter(waiting => !late(waiting))
    return found
  }

  /** From now on this broker has its records. */
  follow(leader: PartitionLeader | undefined): void {
    if (leader === this.#leader) return
    this.#leader?.ready.delete(this)
    this.#leader = leader
  }
}

function countFitting(records: readonly Waiting[], room: Room, isFirst: boolean): number {
  let bytes = 0
  let count = 0
  for (const waiting of records) {
    bytes += waiting.bytes
    if (count === room.records || (bytes > room.bytes && !(isFirst && count === 0))) break
    count++
  }
  return count
}
