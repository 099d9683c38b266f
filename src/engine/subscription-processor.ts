import type { SourceRecord, SubscriptionPlan } from '../compiler/plan.ts'
import { Assignment } from './assignment.ts'
import { CommitCadence } from './commit-cadence.ts'
import { SubscriptionCounters } from './counters.ts'
import type { Execution, Settlement } from './execution.ts'
import { LaneScheduler } from './lane-scheduler.ts'
import { runMessage } from './message-run.ts'
import type { ConsumerPort, EnginePorts, PartitionId } from './ports.ts'
import { Window } from './window.ts'

/** Longest time messages are worked on before sockets, timers and heartbeats get their turn, in ms. */
const turnMs = 8

export interface ProcessorOptions {
  readonly plan: SubscriptionPlan
  readonly ports: EnginePorts
  readonly counters?: SubscriptionCounters
  /** Longest wait for running work when partitions are revoked, in ms. */
  readonly rebalanceMs: number
  /** Takes at most this many messages in all, then calls `onLimit` once; undefined: no limit. */
  readonly maxMessages?: number | undefined
  readonly onLimit?: (() => void) | undefined
}

/** What `drain` left behind, for the log: messages released from a retry wait or cut off are delivered again. */
export interface DrainResult {
  readonly finished: boolean
  /** Messages that had started and did not settle. */
  readonly released: number
}

/**
 * The engine of one subscription: takes records as a broker delivers them, runs them through the current plan in lanes, keeps
 * the window, commits what is settled. The plan can be swapped at any time: every message sees one version of it.
 */
export class SubscriptionProcessor {
  readonly counters: SubscriptionCounters
  readonly #ports: EnginePorts
  readonly #execution: Execution
  readonly #scheduler: LaneScheduler
  readonly #window = new Window()
  readonly #commits: CommitCadence
  readonly #assignments = new Map<string, Assignment>()
  readonly #rebalanceMs: number
  readonly #onLimit: (() => void) | undefined
  #remaining: number
  #plan: SubscriptionPlan
  #consumer: ConsumerPort | undefined
  /** Partitions with a backlog, in turn. */
  readonly #turns: Assignment[] = []
  #turnScheduled = false
  #stopping = false
  #released = 0
  #paused = 0

  constructor(options: ProcessorOptions) {
    this.#plan = options.plan
    this.#ports = options.ports
    this.counters = options.counters ?? new SubscriptionCounters()
    this.#rebalanceMs = options.rebalanceMs
    this.#remaining = options.maxMessages ?? Number.POSITIVE_INFINITY
    this.#onLimit = options.onLimit
    this.#commits = new CommitCadence(options.ports, this.counters, () => this.#assignments.values())
    this.#execution = { ports: options.ports, counters: this.counters, stopPartition: assignment => this.#stopPartition(assignment) }
    this.#scheduler = new LaneScheduler(
      (assignment, record) => this.#start(assignment, record),
      (assignment, record, settlement) => this.#ended(assignment, record, settlement),
    )
  }

  get plan(): SubscriptionPlan {
    return this.#plan
  }

  /** Messages that start from now on run on this plan; those at work keep theirs. */
  swap(plan: SubscriptionPlan): void {
    this.#plan = plan
  }

  /** Must be called before the first records arrive. */
  attach(consumer: ConsumerPort): void {
    this.#consumer = consumer
    this.#commits.attach(consumer)
  }

  get assignments(): Iterable<Assignment> {
    return this.#assignments.values()
  }

  /** Messages in flight and buffered. */
  get held(): { readonly messages: number; readonly bytes: number } {
    return this.#window
  }

  assigned(partitions: readonly PartitionId[]): void {
    for (const { topic, partition } of partitions) {
      const assignment = new Assignment(topic, partition, this.#ports.clock)
      this.#assignments.set(assignment.id, assignment)
    }
  }

  /** Lets running work end (unless the partitions are lost already), commits, and forgets the partitions. */
  async revoked(partitions: readonly PartitionId[], lost: boolean): Promise<void> {
    const leaving = partitions.flatMap(({ topic, partition }) => this.#assignments.get(`${topic}/${partition}`) ?? [])
    await this.#drainAssignments(leaving, lost ? 0 : this.#rebalanceMs)
    if (!lost) await this.#commits.commit(leaving)
    for (const assignment of leaving) {
      this.#window.forget(assignment)
      if (assignment.paused) this.#paused--
      if (this.#assignments.get(assignment.id) === assignment) this.#assignments.delete(assignment.id)
    }
  }

  records(topic: string, partition: number, records: readonly SourceRecord[], nextOffset: number, highWatermark: number): void {
    const assignment = this.#assignments.get(`${topic}/${partition}`)
    if (assignment === undefined || assignment.state !== 'active' || this.#stopping) return
    assignment.highWatermark = highWatermark
    let bytes = 0
    for (const record of records) bytes += sizeOf(record)
    this.#window.add(assignment, records.length, bytes)
    assignment.backlog.push({ records, next: 0, nextOffset })
    if (assignment.backlog.length === 1) this.#turns.push(assignment)
    if (!this.#turnScheduled) this.#turn()
    this.#keepWindow()
  }

  /**
   * Stops taking messages, lets running ones end within `limitMs`, commits. Messages that wait for a retry are released at once.
   */
  async drain(limitMs: number): Promise<DrainResult> {
    this.#stopping = true
    const before = this.#released
    const all = [...this.#assignments.values()]
    this.#consumer?.pause(all)
    await this.#drainAssignments(all, limitMs)
    await this.#commits.commit(all)
    this.#commits.stop()
    return { finished: all.every(assignment => assignment.state === 'draining'), released: this.#released - before }
  }

  async #drainAssignments(assignments: readonly Assignment[], limitMs: number): Promise<void> {
    for (const assignment of assignments) {
      assignment.drain()
      this.#scheduler.discard(assignment)
    }
    if (limitMs > 0) await this.#withinLimit(Promise.all(assignments.map(assignment => assignment.whenIdle())), limitMs)
    for (const assignment of assignments) {
      if (assignment.running === 0 && limitMs > 0) continue
      this.#released += assignment.running
      assignment.release()
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

  /** Works on the backlogs until they are empty or the turn is over; the rest waits for the next turn of the event loop. */
  #turn(): void {
    const endsAt = this.#ports.clock.monotonic() + turnMs
    for (;;) {
      const assignment = this.#turns.shift()
      if (assignment === undefined) break
      this.#takeSome(assignment, endsAt)
      if (assignment.backlog.length > 0) this.#turns.push(assignment)
      if (this.#ports.clock.monotonic() >= endsAt) break
    }
    if (this.#turns.length > 0) {
      this.#turnScheduled = true
      this.#ports.clock.yield(() => {
        this.#turnScheduled = false
        this.#turn()
        this.#keepWindow()
      })
    }
  }

  /** Takes `batch.size` messages at a time from one partition's backlog until the turn ends. */
  #takeSome(assignment: Assignment, endsAt: number): void {
    do {
      const delivery = assignment.backlog[0]
      if (delivery === undefined) return
      const end = Math.min(delivery.records.length, delivery.next + this.#plan.batch.size)
      while (delivery.next < end && assignment.state === 'active') {
        const record = delivery.records[delivery.next]
        if (record === undefined) break
        if (this.#remaining <= 0) {
          this.#reachLimit()
          return
        }
        delivery.next++
        this.#remaining--
        this.counters.received++
        if (this.#scheduler.take(assignment, record, this.#plan.ordering, this.#plan.concurrency)) {
          this.#window.remove(assignment, 1, sizeOf(record))
          this.counters.settled++
        }
        assignment.tracker.delivered(record.offset + 1)
      }
      if (assignment.state !== 'active') return
      if (delivery.next >= delivery.records.length) {
        assignment.tracker.delivered(delivery.nextOffset)
        assignment.backlog.shift()
      }
      this.#commits.moved()
      if (this.#remaining <= 0) this.#reachLimit()
    } while (this.#ports.clock.monotonic() < endsAt)
  }

  #reachLimit(): void {
    if (this.#stopping) return
    this.#stopping = true
    for (const assignment of this.#assignments.values()) assignment.backlog = []
    this.#turns.length = 0
    this.#onLimit?.()
  }

  #start(assignment: Assignment, record: SourceRecord): Promise<Settlement> | undefined {
    const running = runMessage(this.#execution, assignment, this.#plan, record)
    if (running === undefined) return undefined
    const startedAt = this.#ports.clock.monotonic()
    return running.then(settlement => {
      if (settlement === 'settled') this.counters.took(this.#ports.clock.monotonic() - startedAt)
      return settlement
    })
  }

  #ended(assignment: Assignment, record: SourceRecord, settlement: Settlement): void {
    if (assignment.state === 'released') return
    if (settlement === 'released') {
      this.#released++
      return
    }
    this.counters.settled++
    assignment.tracker.settle(record.offset)
    this.#window.remove(assignment, 1, sizeOf(record))
    this.#commits.moved()
    if (this.#paused > 0) this.#keepWindow()
  }

  #keepWindow(): void {
    const { window: policy } = this.#plan
    const partitions = this.#assignments.size
    const full = this.#window.isFull(policy)
    for (const assignment of this.#assignments.values()) {
      if (assignment.state !== 'active' || assignment.stopped) continue
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
    assignment.stopped = true
    this.#consumer?.pause([assignment])
  }
}

/** What a record weighs in the window: key and value; its frame in memory is not counted. */
function sizeOf(record: SourceRecord): number {
  return (record.value?.length ?? 0) + (record.key?.length ?? 0)
}
