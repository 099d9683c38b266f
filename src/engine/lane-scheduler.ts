import type { Ordering, SourceRecord } from '../compiler/plan.ts'
import type { Assignment, Lane } from './assignment.ts'
import type { Settlement } from './execution.ts'

/** Starts a message; undefined when it settled at once. */
export type StartMessage = (assignment: Assignment, record: SourceRecord) => Promise<Settlement> | undefined

/** A message that had waited (in a lane, or for its actions) has ended. */
export type MessageEnded = (assignment: Assignment, record: SourceRecord, settlement: Settlement) => void

/**
 * Lets messages of one key run one after the other and different keys side by side, with at most `concurrency` lanes at work. A lane exists only
 * while something of its key runs or waits: messages that settle at once never make one.
 */
export class LaneScheduler {
  /** Lanes with messages to start, waiting for a place. */
  readonly #ready: Lane[] = []
  #atWork = 0
  #concurrency = 1
  readonly #start: StartMessage
  readonly #ended: MessageEnded

  constructor(start: StartMessage, ended: MessageEnded) {
    this.#start = start
    this.#ended = ended
  }

  /** Takes the partition's next message. True when it settled at once, false when `ended` will be called. */
  take(assignment: Assignment, record: SourceRecord, ordering: Ordering, concurrency: number): boolean {
    this.#concurrency = concurrency
    const key = laneKey(record, ordering)
    const lane = key === undefined || assignment.lanes.size === 0 ? undefined : assignment.lanes.get(key)
    if (lane !== undefined) {
      assignment.tracker.open(record.offset)
      lane.queue.push(record)
      return false
    }
    if (this.#atWork >= concurrency) {
      assignment.tracker.open(record.offset)
      this.#ready.push(this.#newLane(assignment, key, [record]))
      return false
    }
    const running = this.#start(assignment, record)
    if (running === undefined) return true
    assignment.tracker.open(record.offset)
    this.#occupy(this.#newLane(assignment, key, []), record, running)
    return false
  }

  /** Forgets what has not started in partitions that take no more messages; call after `drain`. */
  discard(assignment: Assignment): void {
    assignment.lanes.clear()
    for (let index = this.#ready.length - 1; index >= 0; index--)
      if (this.#ready[index]?.assignment === assignment) this.#ready.splice(index, 1)
  }

  #newLane(assignment: Assignment, key: string | null | undefined, queue: SourceRecord[]): Lane {
    const lane: Lane = { key, assignment, queue, head: 0 }
    if (key !== undefined) assignment.lanes.set(key, lane)
    return lane
  }

  #occupy(lane: Lane, record: SourceRecord, running: Promise<Settlement>): void {
    this.#atWork++
    lane.assignment.running++
    void running.then(settlement => {
      this.#atWork--
      lane.assignment.running--
      this.#ended(lane.assignment, record, settlement)
      if (lane.assignment.state !== 'active') lane.assignment.noteIdle()
      else if (this.#ready.length > 0 && lane.head < lane.queue.length) this.#ready.push(lane)
      else this.#advance(lane)
      this.#fill()
    })
  }

  #fill(): void {
    while (this.#atWork < this.#concurrency) {
      const lane = this.#ready.shift()
      if (lane === undefined) return
      this.#advance(lane)
    }
  }

  /** Runs the lane's messages until one has to wait or none is left. */
  #advance(lane: Lane): void {
    const { assignment } = lane
    while (assignment.state === 'active') {
      const record = lane.queue[lane.head]
      if (record === undefined) {
        if (lane.key !== undefined) assignment.lanes.delete(lane.key)
        return
      }
      lane.head++
      if (lane.head > 256 && lane.head * 2 > lane.queue.length) {
        lane.queue = lane.queue.slice(lane.head)
        lane.head = 0
      }
      const running = this.#start(assignment, record)
      if (running !== undefined) {
        this.#occupy(lane, record, running)
        return
      }
      this.#ended(assignment, record, 'settled')
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
