import type { Ordering, SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { LaneTurn } from './lane-turn.ts'
import type { Seat } from './seat.ts'

/** Messages of one lane, in order; the lane works on one at a time, but for those that go into one batch. */
export interface Lane {
  /** Undefined for lanes that no later message can share. */
  readonly key: string | null | undefined
  readonly assignment: Assignment
  queue: SourceRecord[]
  /** The next message in `queue`. */
  head: number
  /** Messages of it at work. */
  running: number
  /** The last of them; undefined where none can share a batch. */
  last: LaneTurn | undefined
  /** Of the messages at work. */
  seat: Seat | undefined
  /** The next message cannot go along with those at work. */
  mustWait: boolean
  /** `resting`: nothing of it runs or waits. `forgotten`: nor will it again, its key gets another. */
  state: 'used' | 'resting' | 'forgotten'
}

/** So many lanes may rest besides as many as are in use. */
const mostResting = 1_024

/**
 * The lanes of one partition. One that has nothing to do rests for a while instead of being removed: keys come again, and a Map with as much coming and
 * going keeps nearly all that was ever in it until the next full garbage collection, since V8 links each table that a Map has outgrown to the next one.
 */
export class Lanes {
  #byKey = new Map<string | null, Lane>()
  #used = 0

  /** No message runs or waits in a lane that another could share. */
  get areResting(): boolean {
    return this.#used === 0
  }

  /** Those in use and those that rest. */
  get size(): number {
    return this.#byKey.size
  }

  /** The record's lane, also one that rests. */
  of(record: SourceRecord, ordering: Ordering): Lane | undefined {
    const key = laneKey(record, ordering)
    return key === undefined ? undefined : this.#byKey.get(key)
  }

  /** Those with messages that run or wait. */
  inUse(): readonly Lane[] {
    return [...this.#byKey.values()].filter(lane => lane.state === 'used')
  }

  /** A lane for the record, which has none in use. `resting`: its own that rests, where that is known. */
  begin(assignment: Assignment, record: SourceRecord, ordering: Ordering, resting: Lane | undefined): Lane {
    const lane = resting ?? this.of(record, ordering)
    if (lane?.state === 'resting') {
      lane.state = 'used'
      this.#used++
      return lane
    }
    const key = laneKey(record, ordering)
    const made: Lane = {
      key,
      assignment,
      queue: [],
      head: 0,
      running: 0,
      last: undefined,
      seat: undefined,
      mustWait: false,
      state: 'used',
    }
    if (key !== undefined) {
      this.#byKey.set(key, made)
      this.#used++
    }
    return made
  }

  /** Nothing of the lane runs or waits any more. */
  rest(lane: Lane): void {
    if (lane.key === undefined || lane.state !== 'used') return
    // Emptied, not replaced: one that has grown old and is garbage keeps alive what it was last given until the next full garbage collection.
    lane.queue.length = 0
    lane.head = 0
    lane.seat = undefined
    lane.state = 'resting'
    this.#used--
    if (this.#byKey.size > mostResting + 2 * this.#used) this.#forgetResting()
  }

  #forgetResting(): void {
    const lanes = this.#byKey
    this.#byKey = new Map()
    for (const [key, lane] of lanes) {
      if (lane.state === 'used') this.#byKey.set(key, lane)
      else lane.state = 'forgotten'
    }
  }
}

/** Null: records without a key share one lane a partition. Undefined: a lane of the message's own. */
function laneKey(record: SourceRecord, ordering: Ordering): string | null | undefined {
  switch (ordering) {
    case 'key':
      return record.key === null ? null : record.key.toString('latin1')
    case 'partition':
      return null
    case 'none':
      return undefined
  }
}
