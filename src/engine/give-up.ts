import type { DeadLetterPolicy, SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { countEnd, type RouteCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { Letter, LetterOwner } from './dead-letter-writer.ts'
import type { Execution, RunEnd, Settlement, Unsettled } from './execution.ts'
import type { Seat } from './seat.ts'

export interface GivenUp {
  readonly record: SourceRecord
  readonly assignment: Assignment
  readonly seat: Seat
  readonly policy: DeadLetterPolicy
  readonly cause: DeadLetterCause
}

export type GivenUpAs = 'dead-lettered' | 'failed'

/**
 * Ends a message (or one route of it) that cannot be processed, as its policy says. A dead letter that cannot be written is tried again for
 * as long as the partition is ours: it is never counted as done. Answers what the caller counts. `goesOn`: the route does.
 */
export async function giveUp(execution: Execution, given: GivenUp, goesOn: boolean): Promise<GivenUpAs | 'released'> {
  const letter = announce(execution, given)
  if (typeof letter === 'string') return letter
  return (await execution.deadLetters.write(letter, given.seat, goesOn)) ? 'dead-lettered' : 'released'
}

/**
 * The same where nothing comes after it: the lane need not wait for the dead letter, unless the topic has not shown that it takes them. Counts what
 * became of it, as dead-lettered also where the route has `earlier` dead letters. Never rejects.
 */
export function endGivenUp(execution: Execution, given: GivenUp, counters: RouteCounters, earlier?: GivenUpAs): RunEnd | Promise<RunEnd> {
  const letter = announce(execution, given)
  if (typeof letter === 'string') return countGivenUp(counters, letter, earlier)
  const { deadLetters } = execution
  if (!deadLetters.mayGoAhead(letter))
    return deadLetters
      .write(letter, given.seat, false)
      .then(isWritten => countGivenUp(counters, isWritten ? 'dead-lettered' : 'released', earlier))
  const end = new LetterAhead(counters, earlier)
  deadLetters.writeAhead(letter, end)
  return end
}

function countGivenUp(counters: RouteCounters, as: GivenUpAs | 'released', earlier: GivenUpAs | undefined): Settlement {
  if (as === 'released') return as
  countEnd(counters, earlier === 'dead-lettered' ? earlier : as)
  return 'settled'
}

/** The end of a message whose letter nobody waits for. */
class LetterAhead implements Unsettled, LetterOwner {
  readonly #counters: RouteCounters
  readonly #earlier: GivenUpAs | undefined
  #settlement: Settlement | undefined
  #listener: ((settlement: Settlement) => void) | undefined

  constructor(counters: RouteCounters, earlier: GivenUpAs | undefined) {
    this.#counters = counters
    this.#earlier = earlier
  }

  whenSettled(listener: (settlement: Settlement) => void): void {
    if (this.#settlement === undefined) this.#listener = listener
    else listener(this.#settlement)
  }

  letterEnded(isWritten: boolean): void {
    this.#settlement = countGivenUp(this.#counters, isWritten ? 'dead-lettered' : 'released', this.#earlier)
    this.#listener?.(this.#settlement)
  }
}

/** Says what is given up and why. Answers the letter that is to be written, or the outcome where there is none. */
function announce(execution: Execution, { record, assignment, policy, cause }: GivenUp): Letter | 'failed' | 'released' {
  const { log, observer } = execution.ports
  const topic = policy.kind === 'topic' ? (policy.topic ?? `${record.topic}.dlq`) : undefined
  observer?.gaveUp({
    record,
    route: cause.route,
    action: cause.action,
    attempts: cause.attempts,
    outcome: policy.kind === 'topic' ? 'dead-letter' : policy.onFailure,
    topic,
    error: `${cause.type}: ${cause.message}`,
  })
  if (policy.kind === 'topic' && topic !== undefined) {
    execution.givenUpLog.say(cause, () => ({ ...placeOf(record, cause), deadLetterTopic: topic }), `dead-lettered: ${cause.message}`)
    return { assignment, record, topic, cause, oversize: policy.oversize }
  }
  if (policy.kind === 'none' && policy.onFailure === 'skip') {
    execution.givenUpLog.say(cause, () => placeOf(record, cause), `given up (onFailure: skip): ${cause.message}`)
    return 'failed'
  }
  log.error(placeOf(record, cause), `partition stopped (onFailure: stop): ${cause.message}`)
  execution.stopPartition(assignment)
  return 'released'
}

function placeOf({ topic, partition, offset }: SourceRecord, { route, action, attempts, type }: DeadLetterCause): object {
  return { topic, partition, offset, route, action, attempts, error: type }
}
