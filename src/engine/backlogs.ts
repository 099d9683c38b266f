import type { RecordSequence, SourceRecord } from '../compiler/plan.ts'
import type { Assignment, Backlog } from './assignment.ts'
import type { MessageLimit } from './message-limit.ts'
import type { Clock } from './ports.ts'
import { dueAt } from './retry-topic.ts'
import type { Turn } from './turn.ts'

/** Timers take no longer ones: the message is then looked at again. */
const longestTimerMs = 3_600_000

/** What becomes of the messages. */
export interface BacklogUse {
  /** Messages that are taken from one partition before others have their share. */
  batchSize(): number
  /** Another message could start. Asked for each. */
  wantsMore(): boolean
  /** Takes the partition's next message. */
  take(assignment: Assignment, record: SourceRecord): void
  /** Passes over the partition's next message, which was done before. */
  pass(assignment: Assignment, record: SourceRecord): void
  /** A partition got on. */
  moved(): void
}

/**
 * What was delivered and not looked at yet: taken only as messages can start, and from one partition after the other, so that a large delivery keeps
 * neither the event loop nor other partitions waiting, and is no more than its bytes until then.
 */
export class Backlogs {
  readonly #clock: Clock
  readonly #turn: Turn
  readonly #limit: MessageLimit | undefined
  readonly #use: BacklogUse
  /** Partitions with a backlog; the first has its share now. */
  readonly #partitions: Assignment[] = []
  /** What is left of that share, in messages. */
  #share = 0
  /** A message is being taken: what is delivered or could start meanwhile is seen after it. */
  #isTaking = false

  constructor(clock: Clock, turn: Turn, limit: MessageLimit | undefined, use: BacklogUse) {
    this.#clock = clock
    this.#turn = turn
    this.#limit = limit
    this.#use = use
  }

  add(assignment: Assignment, records: RecordSequence, nextOffset: number): void {
    const rest = records[Symbol.iterator]()
    assignment.backlog.push({ next: nextOf(rest), rest, nextOffset })
    if (assignment.backlog.length === 1) this.#partitions.push(assignment)
    this.takeMore()
  }

  /** Empties the backlog; answers with what was in it. */
  discard(assignment: Assignment): readonly SourceRecord[] {
    assignment.parked?.()
    assignment.parked = undefined
    const discarded: SourceRecord[] = []
    for (const { next, rest } of assignment.backlog)
      for (let record = next; record !== undefined; record = nextOf(rest)) discarded.push(record)
    assignment.backlog = []
    return discarded
  }

  /** Until nothing more could start, the backlogs are empty, or the turn is over. */
  takeMore(): void {
    if (this.#isTaking) return
    this.#isTaking = true
    try {
      while (this.#use.wantsMore()) {
        const [assignment] = this.#partitions
        if (assignment === undefined || this.#limit?.isReached === true || this.#turn.isOver()) return
        if (this.#share === 0) this.#share = this.#use.batchSize()
        this.#takeShare(assignment)
        if (this.#share === 0) this.#nextPartition(assignment)
      }
    } finally {
      this.#isTaking = false
    }
  }

  #nextPartition(assignment: Assignment): void {
    this.#partitions.shift()
    if (assignment.backlog.length > 0 && assignment.parked === undefined && assignment.takesMessages) this.#partitions.push(assignment)
  }

  /** Takes messages of the partition until its share is used up, it has none, or none could start. */
  #takeShare(assignment: Assignment): void {
    const backlog = assignment.backlog[0]
    if (backlog === undefined || !assignment.takesMessages) this.#share = 0
    else this.#takeSome(assignment, backlog)
  }

  #takeSome(assignment: Assignment, backlog: Backlog): void {
    for (let record = backlog.next; record !== undefined && this.#share > 0; record = backlog.next) {
      const wasDone = assignment.tracker.wasDone(record.offset)
      if (!wasDone && assignment.isRetry && this.#parks(assignment, record)) {
        this.#share = 0
        break
      }
      if (!wasDone && (!this.#use.wantsMore() || this.#limit?.take() === false)) break
      backlog.next = nextOf(backlog.rest)
      this.#share--
      if (wasDone) this.#use.pass(assignment, record)
      else this.#use.take(assignment, record)
      if (!assignment.takesMessages) return
      if (this.#limit?.isReached === true) {
        this.#limit.tellMembers()
        return
      }
    }
    if (backlog.next === undefined) {
      assignment.tracker.delivered(backlog.nextOffset)
      assignment.backlog.shift()
      if (assignment.backlog.length === 0) this.#share = 0
    }
    this.#use.moved()
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
      this.#partitions.push(assignment)
      this.takeMore()
    })
    return true
  }
}

function nextOf(records: Iterator<SourceRecord>): SourceRecord | undefined {
  const { done, value } = records.next()
  return done === true ? undefined : value
}
