import type { RecordSequence, SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { isRetryTopicOf } from '../compiler/retry-topics.ts'
import { Assignment } from './assignment.ts'
import { Backlogs } from './backlogs.ts'
import { Batches } from './batch.ts'
import { Breakers } from './breaker.ts'
import { CommitCadence } from './commit-cadence.ts'
import { SubscriptionCounters } from './counters.ts'
import { DeadLetterWriter } from './dead-letter-writer.ts'
import { readDoneAhead } from './done-ahead.ts'
import type { Execution, Settlement } from './execution.ts'
import { GivenUpLog } from './given-up-log.ts'
import { KeyScopes } from './idempotency-key.ts'
import { LaneScheduler } from './lane-scheduler.ts'
import { type LeftBehind, leftBehind, tellLeftBehind } from './left-behind.ts'
import type { LimitMember, MessageLimit } from './message-limit.ts'
import { runMessage } from './message-run.ts'
import { observeMessages } from './observe-messages.ts'
import type { AssignedPartition, ConsumerPort, EnginePorts, PartitionId } from './ports.ts'
import { TopicWrites } from './topic-writes.ts'
import { Turn } from './turn.ts'
import { Window } from './window.ts'

/** Longest wait for the commit that ends a partition or the run, in ms; without it, what is not committed is delivered again. */
const lastCommitMs = 5_000

export interface ProcessorOptions {
  readonly plan: SubscriptionPlan
  readonly ports: EnginePorts
  readonly counters?: SubscriptionCounters
  /** Longest wait for running work when partitions are revoked, in ms; asked each time. */
  readonly rebalanceMs: () => number
  /** What waits for the next try of an action starts again on a new plan, from its first action on, instead of ending on its own. */
  readonly startsOver?: boolean
  /** Shared with the other subscriptions of the run; undefined: no limit. */
  readonly limit?: MessageLimit | undefined
}

/**
 * The engine of one subscription: takes records as a broker delivers them, runs them through the current plan in lanes, keeps
 * the window, commits what is settled. The plan can be swapped at any time: every message sees one version of it.
 */
export class SubscriptionProcessor implements LimitMember {
  readonly counters: SubscriptionCounters
  readonly #ports: EnginePorts
  readonly #execution: Execution
  readonly #scheduler: LaneScheduler
  readonly #backlogs: Backlogs
  readonly #window = new Window()
  readonly #commits: CommitCadence
  readonly #assignments = new Map<string, Assignment>()
  readonly #rebalanceMs: () => number
  readonly #startsOver: boolean
  readonly #limit: MessageLimit | undefined
  #plan: SubscriptionPlan
  #consumer: ConsumerPort | undefined
  #stopping = false
  #paused = 0

  constructor(options: ProcessorOptions) {
    this.#plan = options.plan
    this.#ports = options.ports
    this.counters = options.counters ?? new SubscriptionCounters()
    this.#rebalanceMs = options.rebalanceMs
    this.#startsOver = options.startsOver ?? false
    this.#limit = options.limit
    this.#commits = new CommitCadence(options.ports, this.counters, options.plan.role !== 'fanout', () => this.#assignments.values())
    const run = options.ports.observer === undefined ? runMessage : observeMessages(options.ports.observer)
    const turn = new Turn(options.ports.clock, () => this.#scheduler.places.freed())
    this.#scheduler = new LaneScheduler(
      options.ports.clock,
      turn,
      options.plan,
      (assignment, record, turn, seat) =>
        run({ execution: this.#execution, assignment, offset: record.offset, plan: this.#plan, turn, seat }, record),
      (assignment, record, settlement, tookMs) => this.#ended(assignment, record, settlement, tookMs),
      () => this.#backlogs.takeMore(),
    )
    this.#backlogs = new Backlogs(options.ports.clock, turn, options.limit, {
      batchSize: () => this.#plan.batch.size,
      wantsMore: () => this.#scheduler.wantsMore,
      take: (assignment, record) => this.#take(assignment, record),
      pass: (assignment, record) => this.#pass(assignment, record),
      moved: () => this.#commits.moved(),
    })
    const writes = new TopicWrites(options.ports)
    this.#execution = {
      ports: options.ports,
      counters: this.counters,
      places: this.#scheduler.places,
      keyScopes: new KeyScopes(),
      writes,
      deadLetters: new DeadLetterWriter(options.ports, this.counters, writes),
      givenUpLog: new GivenUpLog(options.ports.clock, options.ports.log),
      breakers: new Breakers(options.ports, this.counters),
      batches: new Batches(options.ports.clock, this.counters),
      startsOver: plan => this.#startsOver && plan !== this.#plan,
      stopPartition: assignment => this.#stopPartition(assignment),
    }
    this.#limit?.join(this)
  }

  get plan(): SubscriptionPlan {
    return this.#plan
  }

  /**
   * Messages that start from now on run on this plan; those at work keep theirs, but for `startsOver`. Its `ordering` must be the same: messages already in lanes would
   * lose their order, so that a change of it needs a new consumer. Resolves when the last message that started before has ended.
   */
  swap(plan: SubscriptionPlan): Promise<void> {
    this.#plan = plan
    const earlierEnded = this.#scheduler.follow(plan)
    if (this.#startsOver) this.#startOver()
    this.#keepWindow()
    return earlierEnded
  }

  #startOver(): void {
    let messages = 0
    for (const assignment of this.#assignments.values()) messages += assignment.cutTries()
    if (messages > 0)
      this.#ports.log.info(
        { subscription: this.#plan.name, messages },
        'messages that waited for their next try start again, on what was saved',
      )
  }

  /** Must be called before the first records arrive. */
  attach(consumer: ConsumerPort): void {
    this.#consumer = consumer
    this.#commits.attach(consumer)
  }

  get assignments(): Iterable<Assignment> {
    return this.#assignments.values()
  }

  /** No message is at work or in a lane; those that a stopped partition holds back do not count. */
  get isIdle(): boolean {
    return [...this.#assignments.values()].every(({ tracker, running, stopped }) => running === 0 && (stopped || tracker.openCount === 0))
  }

  limitReached(): void {
    this.#stopping = true
    this.#commits.moved()
    const all = [...this.#assignments.values()]
    this.#consumer?.pause(all)
    for (const assignment of all) this.#discardBacklog(assignment)
  }

  /** Messages in flight and buffered. */
  get held(): { readonly messages: number; readonly bytes: number } {
    return this.#window
  }

  assigned(partitions: readonly AssignedPartition[]): void {
    for (const { topic, partition, offset, metadata } of partitions) {
      const saved = offset === undefined ? undefined : (readDoneAhead(metadata, offset) ?? { offset, bounds: [] })
      const assignment = new Assignment(topic, partition, this.#ports.clock, isRetryTopicOf(this.#plan.group, topic), saved)
      this.#assignments.set(assignment.id, assignment)
    }
  }

  /** Lets running work end (unless the partitions are lost already), commits, and forgets the partitions. */
  async revoked(partitions: readonly PartitionId[], lost: boolean): Promise<void> {
    const leaving = partitions.flatMap(({ topic, partition }) => this.#assignments.get(`${topic}/${partition}`) ?? [])
    if (lost) for (const assignment of leaving) assignment.gone = true
    await this.#drainAssignments(leaving, lost ? 0 : this.#rebalanceMs())
    if (!lost) await this.#withinLimit(this.#commits.commit(leaving), lastCommitMs)
    this.#account(leaving)
    for (const assignment of leaving) {
      assignment.gone = true
      this.#window.forget(assignment)
      if (assignment.paused) this.#paused--
      if (this.#assignments.get(assignment.id) === assignment) this.#assignments.delete(assignment.id)
    }
    this.#keepWindow()
    this.#limit?.settled()
  }

  records(topic: string, partition: number, records: RecordSequence, nextOffset: number, highWatermark: number): void {
    const assignment = this.#assignments.get(`${topic}/${partition}`)
    if (assignment === undefined || !assignment.takesMessages || this.#stopping) return
    if (assignment.highWatermark < 0) assignment.tracker.endsAt(highWatermark)
    assignment.highWatermark = highWatermark
    this.#window.enter(assignment, records)
    this.#backlogs.add(assignment, records, nextOffset)
    this.#keepWindow()
  }

  /**
   * Stops taking messages, lets running ones end within `limitMs`, commits within `commitMs`. Messages that wait for a retry are released at once.
   */
  async drain(limitMs: number, commitMs = lastCommitMs): Promise<LeftBehind> {
    this.#stopping = true
    const all = [...this.#assignments.values()]
    this.#consumer?.pause(all)
    await this.#drainAssignments(all, limitMs)
    await this.#withinLimit(this.#commits.commit(all), commitMs)
    this.#commits.stop()
    this.#execution.givenUpLog.tell()
    this.#limit?.leave(this)
    return this.#account(all)
  }

  #account(assignments: readonly Assignment[]): LeftBehind {
    const left = leftBehind(assignments)
    this.counters.released += left.released
    this.counters.repeated += left.repeated
    tellLeftBehind(this.#ports.log, this.#plan, left)
    return left
  }

  async #drainAssignments(assignments: readonly Assignment[], limitMs: number): Promise<void> {
    for (const assignment of assignments) {
      assignment.drain()
      this.#discard(assignment)
    }
    if (limitMs > 0) await this.#withinLimit(Promise.all(assignments.map(assignment => assignment.whenIdle())), limitMs)
    for (const assignment of assignments) {
      if (assignment.isIdle) continue
      assignment.released += assignment.running
      assignment.release()
      this.#discard(assignment)
    }
  }

  #withinLimit(idle: Promise<unknown>, limitMs: number): Promise<void> {
    return new Promise(resolve => {
      const cancel = this.#ports.clock.schedule(limitMs, resolve)
      void idle.then(() => {
        cancel()
        resolve()
      })
    })
  }

  /** Takes out what was delivered and has not started: it will be delivered again. */
  #discard(assignment: Assignment): void {
    this.#discardBacklog(assignment)
    for (const record of this.#scheduler.discard(assignment)) this.#window.leave(assignment, record)
  }

  #discardBacklog(assignment: Assignment): void {
    for (const record of this.#backlogs.discard(assignment)) this.#window.leave(assignment, record)
  }

  #take(assignment: Assignment, record: SourceRecord): void {
    this.counters.received++
    if (this.#scheduler.take(assignment, record, this.#plan.ordering)) {
      this.#leaveWindow(assignment, record)
      this.counters.settled++
    }
    assignment.tracker.delivered(record.offset + 1)
  }

  #pass(assignment: Assignment, record: SourceRecord): void {
    this.counters.received++
    this.counters.settled++
    this.counters.doneBefore++
    this.#leaveWindow(assignment, record)
    assignment.tracker.delivered(record.offset + 1)
  }

  #ended(assignment: Assignment, record: SourceRecord, settlement: Settlement, tookMs: number | undefined): void {
    if (settlement === 'settled' && tookMs !== undefined) this.counters.took(tookMs)
    if (assignment.state === 'released') return
    this.#leaveWindow(assignment, record)
    if (settlement === 'released') {
      assignment.released++
      // It holds back what can be committed: filling gaps above it is of no use.
      assignment.furthest = Math.min(assignment.furthest, record.offset - 1)
      this.#discard(assignment)
    } else {
      this.counters.settled++
      assignment.tracker.settle(record.offset)
      this.#commits.moved()
    }
    this.#limit?.settled()
  }

  /** What is paused can go on only where its own part or the whole has become small enough. */
  #leaveWindow(assignment: Assignment, record: SourceRecord): void {
    this.#window.leave(assignment, record)
    if (this.#paused === 0) return
    const { window: policy } = this.#plan
    const mayResume = assignment.paused ? this.#window.mayResume(assignment, policy, this.#assignments.size) : this.#window.isLow(policy)
    if (mayResume) this.#keepWindow()
  }

  #keepWindow(): void {
    if (this.#stopping) return
    const { window: policy } = this.#plan
    const partitions = this.#assignments.size
    const full = this.#window.isFull(policy)
    for (const assignment of this.#assignments.values()) {
      if (!assignment.takesMessages) continue
      if (!assignment.paused && full && this.#window.holdsItsShare(assignment, policy, partitions)) {
        assignment.paused = true
        this.#paused++
        this.#consumer?.pause([assignment])
      } else if (assignment.paused && this.#window.mayResume(assignment, policy, partitions)) {
        assignment.paused = false
        this.#paused--
        this.#consumer?.resume([assignment])
      }
    }
  }

  #stopPartition(assignment: Assignment): void {
    if (assignment.stopped) return
    assignment.stopped = true
    this.#consumer?.pause([assignment])
    this.#discard(assignment)
  }
}
