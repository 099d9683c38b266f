import type { SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { MessageLimit } from './message-limit.ts'
import type { Clock } from './ports.ts'
import { dueAt } from './retry-topic.ts'

/** Longest time messages are worked on before sockets, timers and heartbeats get their turn, in ms. */
const turnMs = 8

/** Timers take no longer ones: the message is then looked at again. */
const longestTimerMs = 3_600_000

/** What becomes of the messages. */
export interface BacklogUse {
  /** Messages that are taken from one partition at a time. */
  batchSize(): number
  /** Takes the partition's next message. */
  take(assignment: Assignment, record: SourceRecord): void
  /** Passes over the partition's next message, which was done before. */
  pass(assignment: Assignment, record: SourceRecord): void
  /** A partition got on. */
  moved(): void
  /** A turn is over that nobody had called for. */
  turned(): void
}

/** Works off what was delivered and not looked at yet: in turns, so that a large delivery keeps neither the event loop nor other partitions waiting. */
export class Backlogs {
  readonly #clock: Clock
  readonly #limit: MessageLimit | undefined
  readonly #use: BacklogUse
  /** Partitions with a backlog, in turn. */
  readonly #turns: Assignment[] = []
  /** A turn is under way or will come: deliveries meanwhile only queue. */
  #inTurn = false

  constructor(clock: Clock, limit: MessageLimit | undefined, use: BacklogUse) {
    this.#clock = clock
    this.#limit = limit
    this.#use = use
  }

  add(assignment: Assignment, records: readonly SourceRecord[], nextOffset: number): void {
    assignment.backlog.push({ records, next: 0, nextOffset })
    if (assignment.backlog.length === 1) this.#turns.push(assignment)
    if (!this.#inTurn) this.#turn()
  }

  /** Empties the backlog; answers with what was in it. */
  discard(assignment: Assignment): readonly SourceRecord[] {
    assignment.parked?.()
    assignment.parked = undefined
    const discarded = assignment.backlog.flatMap(({ records, next }) => records.slice(next))
    assignment.backlog = []
    return discarded
  }

  /** Until the backlogs are empty or the turn is over; the rest waits for the next turn of the event loop. */
  #turn(): void {
    this.#inTurn = true
    const endsAt = this.#clock.monotonic() + turnMs
    try {
      for (;;) {
        const assignment = this.#turns.shift()
        if (assignment === undefined) break
        this.#takeSome(assignment, endsAt)
        if (assignment.backlog.length > 0 && assignment.parked === undefined) this.#turns.push(assignment)
        if (this.#clock.monotonic() >= endsAt) break
      }
    } finally {
      this.#inTurn = this.#turns.length > 0
      if (this.#inTurn) this.#clock.yield(() => this.#turnByItself())
    }
  }

  #turnByItself(): void {
    this.#turn()
    this.#use.turned()
  }

  /** Takes some messages at a time from one partition until the turn ends. */
  #takeSome(assignment: Assignment, endsAt: number): void {
    do {
      const delivery = assignment.backlog[0]
      if (delivery === undefined) return
      const end = Math.min(delivery.records.length, delivery.next + this.#use.batchSize())
      while (delivery.next < end && assignment.takesMessages) {
        const record = delivery.records[delivery.next]
        if (record !== undefined && assignment.tracker.wasDone(record.offset)) {
          delivery.next++
          this.#use.pass(assignment, record)
          continue
        }
        if (record === undefined || (assignment.isRetry && this.#parks(assignment, record)) || this.#limit?.take() === false) break
        delivery.next++
        this.#use.take(assignment, record)
        if (this.#limit?.isReached === true) {
          this.#limit.tellMembers()
          return
        }
      }
      if (!assignment.takesMessages) return
      if (assignment.parked !== undefined) {
        this.#use.moved()
        return
      }
      if (delivery.next >= delivery.records.length) {
        assignment.tracker.delivered(delivery.nextOffset)
        assignment.backlog.shift()
      }
      this.#use.moved()
    } while (this.#clock.monotonic() < endsAt)
  }

  /**
   * The partition of a retry topic waits for its next message to be due, and the consumer stays in its group. Those behind it are not looked at: a
   * topic's waits are alike, and what is done stays below what waits, so that a stop repeats nothing.
   */
  #parks(assignment: Assignment, record: SourceRecord): boolean {
    const waitMs = dueAt(record) - this.#clock.now()
    if (waitMs <= 0) return false
    assignment.parked = this.#clock.schedule(Math.min(waitMs, longestTimerMs), () => {
      assignment.parked = undefined
      this.#turns.push(assignment)
      if (!this.#inTurn) this.#turnByItself()
    })
    return true
  }
}
