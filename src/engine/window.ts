import type { RecordSequence, SourceRecord, WindowPolicy } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'

/**
 * Bounds what a subscription holds in flight and buffered. Past the high mark (all of the window) the partitions that hold their share of it or more
 * are paused, so that a slow key stops its own partition first; below half of it they go on. A delivery that has arrived is kept: the bound
 * can be exceeded by what the broker had already sent.
 */
export class Window {
  #messages = 0
  #bytes = 0

  enter(assignment: Assignment, records: RecordSequence): void {
    this.#add(assignment, records.length, records.bytes ?? sizeOfAll(records))
  }

  leave(assignment: Assignment, record: SourceRecord): void {
    this.#add(assignment, -1, -sizeOf(record))
  }

  /** Takes a partition's whole part out: it is no longer ours. */
  forget(assignment: Assignment): void {
    this.#add(assignment, -assignment.messages, -assignment.bytes)
  }

  #add(assignment: Assignment, messages: number, bytes: number): void {
    this.#messages += messages
    this.#bytes += bytes
    assignment.messages += messages
    assignment.bytes += bytes
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

  /** Every partition may go on. */
  isLow(policy: WindowPolicy): boolean {
    return this.#messages * 2 <= policy.messages && this.#bytes * 2 <= policy.bytes
  }

  mayResume(assignment: Assignment, policy: WindowPolicy, partitions: number): boolean {
    return (
      this.isLow(policy) || (assignment.messages * partitions * 2 <= policy.messages && assignment.bytes * partitions * 2 <= policy.bytes)
    )
  }
}

function sizeOfAll(records: RecordSequence): number {
  let bytes = 0
  for (const record of records) bytes += sizeOf(record)
  return bytes
}

/** What a record weighs in the window, in bytes, as `RecordSequence` counts it: its frame in memory is left out. */
function sizeOf({ key, value, headers }: SourceRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const name in headers) {
    const held = headers[name]
    if (Buffer.isBuffer(held)) bytes += held.length
    else if (held !== undefined) for (const each of held) bytes += each.length
  }
  return bytes
}
