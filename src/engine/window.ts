import type { WindowPolicy } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'

/**
 * Bounds what a subscription holds in flight and buffered. Past the high mark (all of the window) the partitions that hold their share of it or more
 * are paused, so that a slow key stops its own partition first; below half of it they go on. A delivery that has arrived is kept: the bound
 * can be exceeded by what the broker had already sent.
 */
export class Window {
  #messages = 0
  #bytes = 0

  add(assignment: Assignment, messages: number, bytes: number): void {
    this.#messages += messages
    this.#bytes += bytes
    assignment.messages += messages
    assignment.bytes += bytes
  }

  remove(assignment: Assignment, messages: number, bytes: number): void {
    this.add(assignment, -messages, -bytes)
  }

  /** Takes a partition's whole part out: it is no longer ours. */
  forget(assignment: Assignment): void {
    this.remove(assignment, assignment.messages, assignment.bytes)
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  isFull(policy: WindowPolicy): boolean {
    return this.#messages >= policy.messages || this.#bytes >= policy.bytes
  }

  holdsItsShare(assignment: Assignment, policy: WindowPolicy, partitions: number): boolean {
    return assignment.messages * partitions >= policy.messages || assignment.bytes * partitions >= policy.bytes
  }

  mayResume(assignment: Assignment, policy: WindowPolicy, partitions: number): boolean {
    const low = this.#messages * 2 <= policy.messages && this.#bytes * 2 <= policy.bytes
    return low || (assignment.messages * partitions * 2 <= policy.messages && assignment.bytes * partitions * 2 <= policy.bytes)
  }
}
