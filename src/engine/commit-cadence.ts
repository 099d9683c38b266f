import type { Assignment } from './assignment.ts'
import type { SubscriptionCounters } from './counters.ts'
import type { Cancel, ConsumerPort, EnginePorts } from './ports.ts'

const commitEveryMs = 500

/**
 * Commits positions at most `commitEveryMs` after they moved, off the path of messages. One request at a time, so that committed offsets
 * never go back; a request that fails is made again with the next one.
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

  constructor(ports: EnginePorts, counters: SubscriptionCounters, assignments: () => Iterable<Assignment>) {
    this.#ports = ports
    this.#counters = counters
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
      else void this.commit(this.#assignments())
    })
  }

  /** Commits these partitions' positions after any request under way. Never rejects: a failure is logged, counted and repeated. */
  commit(assignments: Iterable<Assignment>): Promise<void> {
    const chosen = [...assignments]
    this.#requests++
    this.#running = this.#running.then(() => this.#commitNow(chosen)).finally(() => this.#requests--)
    return this.#running
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  async #commitNow(assignments: readonly Assignment[]): Promise<void> {
    const moved = assignments.flatMap(assignment => {
      const offset = assignment.tracker.uncommitted
      return offset === undefined || assignment.gone ? [] : [{ assignment, offset }]
    })
    if (moved.length === 0 || this.#consumer === undefined) return
    try {
      await this.#consumer.commit(
        moved.map(({ assignment, offset }) => ({ topic: assignment.topic, partition: assignment.partition, offset })),
      )
      for (const { assignment, offset } of moved) assignment.tracker.markCommitted(offset)
      this.#counters.commits++
    } catch (error) {
      this.#counters.commitFailures++
      this.#ports.log.warn(
        { error: error instanceof Error ? error.message : String(error), partitions: moved.length },
        'offsets could not be committed; trying again',
      )
      if (assignments.some(assignment => assignment.state === 'active')) this.moved()
    }
  }
}
