import type { Assignment } from './assignment.ts'
import type { SubscriptionCounters } from './counters.ts'
import { type DoneAhead, writeDoneAhead } from './done-ahead.ts'
import type { Cancel, ConsumerPort, EnginePorts } from './ports.ts'

const commitEveryMs = 500

/** So often at most a position that does not move is committed again, for what is done above it. */
const tellEveryMs = 1_000

/** `last`: nothing more will come of these partitions. */
type Occasion = 'cadence' | 'last'

interface Saving {
  readonly assignment: Assignment
  readonly metadata: string | undefined
  /** What the broker keeps once it has arrived. */
  readonly saved: DoneAhead
}

/**
 * Commits positions at most `commitEveryMs` after they moved, and with them what is done above, off the path of messages. One request at a time,
 * so that committed offsets never go back; a request that fails is made again with the next one.
 */
export class CommitCadence {
  readonly #ports: EnginePorts
  readonly #counters: SubscriptionCounters
  readonly #assignments: () => Iterable<Assignment>
  #consumer: ConsumerPort | undefined
  #cancel: Cancel | undefined
  #running: Promise<void> = Promise.resolve()
  /** Requests under way or waiting for their turn. */
  #requests = 0
  /** What is done above a position is told. */
  #tells: boolean
  /** When positions that had not moved were looked at last, on the monotonic clock. */
  #toldAt = Number.NEGATIVE_INFINITY

  /** `outlives`: what is committed is read by who comes next. */
  constructor(ports: EnginePorts, counters: SubscriptionCounters, outlives: boolean, assignments: () => Iterable<Assignment>) {
    this.#ports = ports
    this.#counters = counters
    this.#tells = outlives
    this.#assignments = assignments
  }

  attach(consumer: ConsumerPort): void {
    this.#consumer = consumer
  }

  /** Something settled: commit soon. Cheap to call for every message. */
  moved(): void {
    if (this.#cancel !== undefined) return
    this.#cancel = this.#ports.clock.schedule(commitEveryMs, () => {
      this.#cancel = undefined
      if (this.#requests > 0) this.moved()
      else void this.#commit(this.#assignments(), 'cadence')
    })
  }

  /**
   * Commits for the last time what these partitions came to, after any request under way. Never rejects: a failure is logged, counted and
   * repeated.
   */
  commit(assignments: Iterable<Assignment>): Promise<void> {
    return this.#commit(assignments, 'last')
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  #commit(assignments: Iterable<Assignment>, occasion: Occasion): Promise<void> {
    const chosen = [...assignments]
    this.#requests++
    this.#running = this.#running.then(() => this.#commitNow(chosen, occasion)).finally(() => this.#requests--)
    return this.#running
  }

  async #commitNow(assignments: readonly Assignment[], occasion: Occasion): Promise<void> {
    const savings = this.#savings(assignments, occasion)
    if (savings.length === 0 || this.#consumer === undefined) return
    try {
      await this.#consumer.commit(
        savings.map(({ assignment, metadata, saved }) => ({
          topic: assignment.topic,
          partition: assignment.partition,
          offset: saved.offset,
          metadata,
        })),
      )
      for (const { assignment, saved } of savings) assignment.tracker.markSaved(saved)
      this.#counters.commits++
    } catch (error) {
      if (this.#tells && isTooMuch(error)) {
        this.#tells = false
        this.#ports.log.warn(
          { error: error.message },
          'the broker keeps no list of what is done above a committed offset: after a stop or a crash that is delivered again',
        )
        return this.#commitNow(assignments, occasion)
      }
      this.#counters.commitFailures++
      this.#ports.log.warn(
        { error: error instanceof Error ? error.message : String(error), partitions: savings.length },
        'offsets could not be committed; trying again',
      )
      if (assignments.some(assignment => assignment.state === 'active')) this.moved()
    }
  }

  /** A position that has moved is due; one that has not, when much is done above it, or anything at the last. */
  #savings(assignments: readonly Assignment[], occasion: Occasion): readonly Saving[] {
    const now = this.#ports.clock.monotonic()
    const mayTell = occasion === 'last' || now - this.#toldAt >= tellEveryMs
    const savings: Saving[] = []
    for (const assignment of assignments) {
      const { tracker } = assignment
      if (assignment.gone) continue
      if (tracker.unsavedPosition === undefined) {
        if (!this.#tells || !tracker.hasUntold(occasion === 'cadence')) continue
        if (!mayTell) {
          this.moved()
          continue
        }
        this.#toldAt = now
      }
      const { offset, bounds } = tracker.ahead
      const written = this.#tells ? writeDoneAhead({ offset, bounds }) : undefined
      const saved = written?.told ?? { offset, bounds: [] }
      if (!tracker.isSaved(saved)) savings.push({ assignment, metadata: written?.metadata, saved })
    }
    return savings
  }
}

/** It takes offsets without what is said beside them. */
function isTooMuch(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === 'metadata-too-large'
}
