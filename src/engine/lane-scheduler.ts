import type { Ordering, RoutePlan, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { Cohort } from './cohort.ts'
import { type Ending, isUnsettled } from './ending.ts'
import type { Settlement, Unsettled } from './execution.ts'
import { LaneTurn } from './lane-turn.ts'
import type { Lane } from './lanes.ts'
import type { Started } from './message-run.ts'
import { Places } from './places.ts'
import type { Clock } from './ports.ts'
import { Seat } from './seat.ts'
import type { Turn } from './turn.ts'

/** Starts a message, in `seat`. `turn`: its place in its lane, where messages of one lane can share batches. */
export type StartMessage = (assignment: Assignment, record: SourceRecord, turn: LaneTurn | undefined, seat: Seat) => Started

/** A message that had waited (in a lane, or for its actions) has ended. `tookMs`: how long its actions made it wait; undefined where they did not. */
export type MessageEnded = (assignment: Assignment, record: SourceRecord, settlement: Settlement, tookMs: number | undefined) => void

/**
 * Lets messages of one key run one after the other and different keys side by side, with the actions of at most `concurrency` lanes running (see Places).
 * A lane is in use only while something of its key runs or waits: messages that settle at once never make one. Several messages of a lane are at
 * work only where they go into one batch.
 */
export class LaneScheduler {
  /** Lanes with messages to start, waiting for a place. */
  #ready: Lane[] = []
  /** Lanes at work of which more messages may come into the batch. */
  readonly #gathering = new Set<Lane>()
  #sharesBatches: boolean
  /** Of the lanes at work: those whose actions run. */
  readonly places: Places
  /** For the next message: most settle at once, and leave it as it was. */
  #seat: Seat
  /** Of the messages that start on the plan of now. */
  #cohort = new Cohort()
  /** Those of the plans before have ended. */
  #earlierEnded: Promise<void> = Promise.resolve()
  /** A message starts: places that it leaves meanwhile are seen by who started it. */
  #starting = false
  readonly #clock: Clock
  readonly #turn: Turn
  readonly #start: StartMessage
  readonly #ended: MessageEnded
  /** Takes further messages, as long as they are wanted. */
  readonly #takeMore: () => void

  constructor(clock: Clock, turn: Turn, plan: SubscriptionPlan, start: StartMessage, ended: MessageEnded, takeMore: () => void) {
    this.#clock = clock
    this.#turn = turn
    this.#sharesBatches = sharesBatches(plan)
    this.places = new Places(clock, turn, plan.concurrency, () => {
      if (!this.#starting) this.#fill()
    })
    this.#seat = new Seat(this.places)
    this.#start = start
    this.#ended = ended
    this.#takeMore = takeMore
  }

  /**
   * Another message could start: it is taken only then, so that what has not been looked at is still bytes. Where messages share batches, those of lanes at
   * work may come along without a place.
   */
  get wantsMore(): boolean {
    return this.#sharesBatches || (this.places.isOpen && this.#ready.length === 0)
  }

  /** Lanes above a smaller number end what they are at. Resolves when every message that started before has ended. */
  follow(plan: SubscriptionPlan): Promise<void> {
    const left = this.#cohort.leave()
    this.#cohort = new Cohort()
    this.#earlierEnded = this.#earlierEnded.then(() => left)
    this.#sharesBatches = sharesBatches(plan)
    this.places.resize(plan.concurrency)
    return this.#earlierEnded
  }

  /** Takes the partition's next message. True when it settled at once, false when `ended` will be called. */
  take(assignment: Assignment, record: SourceRecord, ordering: Ordering): boolean {
    const { lanes } = assignment
    // Where no lane is in use the key is not even looked at.
    const known = lanes.areResting ? undefined : lanes.of(record, ordering)
    if (known?.state === 'used') {
      assignment.tracker.open(record.offset)
      known.queue.push(record)
      if (known.head === known.queue.length - 1 && mayGoAlong(known)) this.#advance(known)
      return false
    }
    if (!this.places.isOpen) {
      assignment.tracker.open(record.offset)
      const lane = lanes.begin(assignment, record, ordering, known)
      lane.queue.push(record)
      this.#ready.push(lane)
      return false
    }
    const { furthest } = assignment
    assignment.furthest = record.offset
    const turn = this.#sharesBatches ? new LaneTurn(undefined) : undefined
    const seat = this.#seat
    const running = this.#started(assignment, record, turn, seat)
    if (running === undefined) return true
    if (running === 'too-early') throw new Error('a message that follows none cannot be too early')
    assignment.tracker.open(record.offset)
    if (isUnsettled(running)) this.#settleLater(assignment, record, running)
    else {
      if (running.waitsForClaim === true) assignment.furthest = furthest
      this.#occupy(lanes.begin(assignment, record, ordering, known), record, running, turn, seat)
    }
    return false
  }

  /** Takes out what has not started and must not start any more. Call once the partition takes no more messages; lanes with gaps to fill go on. */
  discard(assignment: Assignment): readonly SourceRecord[] {
    const lanes = new Set(assignment.lanes.inUse())
    for (const lane of this.#ready) if (lane.assignment === assignment) lanes.add(lane)
    const discarded: SourceRecord[] = []
    assignment.gaps = 0
    for (const lane of lanes) {
      // In offset order: what may start comes first.
      const from = lane.queue.findIndex((record, index) => index >= lane.head && !assignment.mayStart(record.offset))
      if (from >= 0) discarded.push(...lane.queue.splice(from))
      assignment.gaps += lane.queue.length - lane.head
    }
    this.#ready = this.#ready.filter(lane => lane.assignment !== assignment || lane.head < lane.queue.length)
    // Not at once: retries that are cut short settle first, and may close further gaps for good.
    if (assignment.gaps > 0) this.#turn.end()
    return discarded
  }

  #started(assignment: Assignment, record: SourceRecord, turn: LaneTurn | undefined, seat: Seat): Started {
    this.#starting = true
    try {
      seat.join()
      const running = this.#start(assignment, record, turn, seat)
      if (running === undefined || running === 'too-early' || isUnsettled(running)) seat.leave()
      return running
    } finally {
      this.#starting = false
    }
  }

  #occupy(lane: Lane, record: SourceRecord, running: Ending, turn: LaneTurn | undefined, seat: Seat): void {
    const { assignment } = lane
    const cohort = this.#cohort
    const startedAt = this.#clock.monotonic()
    if (seat === this.#seat) this.#seat = new Seat(this.places)
    lane.seat = seat
    lane.running++
    assignment.running++
    cohort.began()
    lane.last = turn
    running.whenEnded(end => {
      const tookMs = this.#clock.monotonic() - startedAt
      lane.running--
      cohort.ended()
      assignment.running--
      if (end === 'released' && assignment.takesMessages) startAgain(lane, record)
      else if (typeof end === 'string') this.#ended(assignment, record, end, tookMs)
      else this.#settleLater(assignment, record, end, tookMs)
      turn?.leave(typeof end === 'string' ? end : 'settled')
      this.#goOn(lane)
      if (assignment.state !== 'active') assignment.noteIdle()
      seat.leave()
      if (lane.running > 0) this.#fill()
    })
  }

  /** Its lane goes on meanwhile. */
  #settleLater(assignment: Assignment, record: SourceRecord, unsettled: Unsettled, tookMs?: number): void {
    assignment.running++
    unsettled.whenSettled(settlement => {
      assignment.running--
      this.#ended(assignment, record, settlement, tookMs)
      if (assignment.state !== 'active') assignment.noteIdle()
    })
  }

  /** One of its messages has ended. */
  #goOn(lane: Lane): void {
    if (lane.running > 0) {
      if (lane.head < lane.queue.length && mayGoAlong(lane)) this.#gathering.add(lane)
      return
    }
    lane.mustWait = false
    lane.last = undefined
    this.#gathering.delete(lane)
    if (lane.head < lane.queue.length) this.#ready.push(lane)
    else lane.assignment.lanes.rest(lane)
  }

  #fill(): void {
    // Asked for every message: no iterator for nothing.
    if (this.#gathering.size > 0) {
      for (const lane of this.#gathering) {
        if (this.#turn.isOver()) return
        this.#gathering.delete(lane)
        this.#advance(lane)
      }
    }
    while (this.#ready.length > 0 && this.places.isOpen && !this.#turn.isOver()) {
      const lane = this.#ready.shift()
      if (lane !== undefined) this.#advance(lane)
    }
    this.#takeMore()
  }

  /** Runs the lane's messages until one has to wait, none is left, or the turn is over. */
  #advance(lane: Lane): void {
    const { assignment } = lane
    for (;;) {
      if (lane.running > 0 && !mayGoAlong(lane)) return
      const record = lane.queue[lane.head]
      if (record === undefined) {
        if (lane.running === 0) assignment.lanes.rest(lane)
        return
      }
      // Its messages are about to be discarded.
      if (!assignment.mayStart(record.offset)) return
      if (this.#turn.isOver()) {
        if (lane.running > 0) this.#gathering.add(lane)
        else this.#ready.push(lane)
        return
      }
      if (!this.#startNext(lane, record)) return
    }
  }

  /** False where the message has to wait until the lane's others have ended. */
  #startNext(lane: Lane, record: SourceRecord): boolean {
    const { assignment } = lane
    const { gaps, furthest } = assignment
    lane.head++
    if (gaps > 0) assignment.gaps--
    else if (record.offset > furthest) assignment.furthest = record.offset
    const turn = this.#sharesBatches ? new LaneTurn(lane.last) : undefined
    const seat = lane.running > 0 && lane.seat !== undefined ? lane.seat : this.#seat
    const running = this.#started(assignment, record, turn, seat)
    if (running === 'too-early') {
      turn?.leave('settled')
      lane.head--
      assignment.gaps = gaps
      assignment.furthest = furthest
      lane.mustWait = true
      return false
    }
    if (lane.head > 256 && lane.head * 2 > lane.queue.length) {
      lane.queue = lane.queue.slice(lane.head)
      lane.head = 0
    }
    if (running !== undefined && !isUnsettled(running)) {
      if (running.waitsForClaim === true) assignment.furthest = furthest
      this.#occupy(lane, record, running, turn, seat)
      return true
    }
    turn?.leave('settled')
    if (running === undefined) this.#ended(assignment, record, 'settled', undefined)
    else this.#settleLater(assignment, record, running)
    if (assignment.state !== 'active') assignment.noteIdle()
    return true
  }
}

/** It was released, and not by its partition: it waits in its lane as if it had not started, before those that came after it. */
function startAgain(lane: Lane, record: SourceRecord): void {
  const { queue } = lane
  let at = lane.head
  while ((queue[at]?.offset ?? record.offset) < record.offset) at++
  queue.splice(at, 0, record)
  lane.mustWait = true
}

/** The next message may start beside those at work, to go into their batch. */
function mayGoAlong(lane: Lane): boolean {
  const last = lane.last?.remaining
  return last?.isGathering === true && !lane.mustWait && lane.running < (last.heading?.action.batch?.size ?? 0)
}

function sharesBatches({ ordering, routes, unmatched }: SubscriptionPlan): boolean {
  const startsWithBatch = ({ actions: [first] }: RoutePlan) => first?.action.batch !== undefined
  return ordering !== 'none' && (routes.some(startsWithBatch) || (unmatched.policy === 'actions' && startsWithBatch(unmatched.route)))
}
