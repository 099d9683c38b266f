import type { SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased, AttemptTimeout } from './attempt-run.ts'
import type { SubscriptionCounters } from './counters.ts'
import { type DeadLetterCause, deadLetterRecord, letterReference } from './dead-letter.ts'
import { errorCause } from './execution.ts'
import type { DeadLetterRecord, EnginePorts } from './ports.ts'
import type { Waiter } from './running-attempts.ts'
import type { Seat } from './seat.ts'
import { type TopicWrites, writeTimeoutMs } from './topic-writes.ts'

/** A dead letter on its way. */
export interface Letter {
  readonly assignment: Assignment
  /** The message that it is of. */
  readonly record: SourceRecord
  /** Where it goes. */
  readonly topic: string
  readonly cause: DeadLetterCause
  /** What becomes of one that is too large for its topic. */
  readonly oversize: 'reference' | undefined
}

/** Is told what became of a letter that no lane waits for, once. */
export interface LetterOwner {
  /** False: the partition was given up first. */
  letterEnded(isWritten: boolean): void
}

/** Letters that nobody waits for leave together this often, in ms: a request costs many times what a letter in it costs. */
const gatherMs = 50

/** What may be under way that no lane waits for. Should the process die, what came after it in its lanes is delivered again. */
const aheadLimit = { letters: 1_000, bytes: 16 * 1024 * 1024 }

/**
 * Writes dead letters until the broker has them. Once a topic has taken one, lanes go on while further ones are on their way there, so that a key of
 * which every message is refused is as fast as others; while one that failed is tried again they wait, each for its own.
 */
export class DeadLetterWriter {
  readonly #ports: EnginePorts
  readonly #counters: SubscriptionCounters
  readonly #writes: TopicWrites
  /** Topics that have taken one. */
  readonly #takers = new Set<string>()
  /** Letters under way that no lane waits for. */
  #letters = 0
  #bytes = 0
  /** When letters left last, on the monotonic clock. */
  #leftAt = Number.NEGATIVE_INFINITY
  /** They wait for each other. */
  #gathering: LetterUnderWay[] = []

  constructor(ports: EnginePorts, counters: SubscriptionCounters, writes: TopicWrites) {
    this.#ports = ports
    this.#writes = writes
    this.#counters = counters
  }

  mayGoAhead({ topic }: Letter): boolean {
    return this.#takers.has(topic) && !this.#writes.isFailing(topic) && this.#letters < aheadLimit.letters && this.#bytes < aheadLimit.bytes
  }

  /** False: the partition was given up first. `goesOn`: the message has more to do. Never rejects. */
  write(letter: Letter, seat: Seat, goesOn: boolean): Promise<boolean> {
    return this.#untilWritten(letter, seat, goesOn, () => this.#send(letter))
  }

  /** The same for a letter that no lane waits for: it may wait for others, to travel with them. */
  writeAhead(letter: Letter, owner: LetterOwner): void {
    this.#letters++
    this.#bytes += sizeOf(letter)
    this.#gathering.push(new LetterUnderWay(letter, owner, this.#followUp))
    if (this.#gathering.length > 1) return
    const { clock } = this.#ports
    const waitMs = this.#leftAt + gatherMs - clock.monotonic()
    if (waitMs <= 0) this.#depart()
    else clock.schedule(waitMs, () => this.#depart())
  }

  /** One time limit for all of them: hundreds may leave at once. */
  #depart(): void {
    const { clock, writeDeadLetter } = this.#ports
    const letters = this.#gathering
    this.#gathering = []
    this.#leftAt = clock.monotonic()
    let left = letters.length
    const cancel = clock.schedule(writeTimeoutMs, () => {
      for (const each of letters) each.rejected(new AttemptTimeout(writeTimeoutMs))
    })
    const arrived = () => {
      if (--left === 0) cancel()
    }
    for (const each of letters) each.leave(writeDeadLetter, arrived)
  }

  readonly #followUp: FollowUp = {
    ended: ({ letter, owner }, isWritten) => {
      this.#letters--
      this.#bytes -= sizeOf(letter)
      owner.letterEnded(isWritten)
    },
    failed: (each, error) => void this.#writeAgain(each, error),
  }

  /** A letter that could not be written with the others. */
  async #writeAgain(each: LetterUnderWay, error: unknown): Promise<void> {
    const { letter } = each
    let first = true
    const isWritten = await this.#untilWritten(letter, undefined, false, () => {
      const again = first ? this.#refer(letter, error) : this.#send(letter)
      first = false
      return again
    })
    this.#followUp.ended(each, isWritten)
  }

  async #send(letter: Letter): Promise<void> {
    try {
      await this.#ports.writeDeadLetter(recordOf(letter))
    } catch (error) {
      await this.#refer(letter, error)
    }
  }

  /** For a letter that was refused: what may stand in for it, or the refusal. */
  async #refer(letter: Letter, refusal: unknown): Promise<void> {
    if (letter.oversize !== 'reference' || !isTooLarge(refusal)) throw refusal
    await this.#ports.writeDeadLetter(letterReference(recordOf(letter)))
    this.#counters.deadLetterReferences++
  }

  async #untilWritten(
    { assignment, record: { topic: originalTopic, partition, offset }, topic }: Letter,
    seat: Seat | undefined,
    goesOn: boolean,
    write: () => Promise<void>,
  ): Promise<boolean> {
    const failed = (error: unknown, retryInMs: number) => {
      this.#counters.deadLetterFailures++
      this.#ports.log.error(
        { topic, originalTopic, partition, offset, retryInMs, error: errorCause(error).message },
        'the dead letter could not be written; the message stays uncommitted and the write is tried again',
      )
      return 'again' as const
    }
    const end = await this.#writes.untilWritten({ topic, assignment, seat, goesOn, write, failed })
    if (end === 'written') this.#takers.add(topic)
    return end === 'written'
  }
}

interface FollowUp {
  readonly ended: (each: LetterUnderWay, isWritten: boolean) => void
  readonly failed: (each: LetterUnderWay, error: unknown) => void
}

/** A letter that no lane waits for. */
class LetterUnderWay implements Waiter {
  readonly letter: Letter
  readonly owner: LetterOwner
  readonly #followUp: FollowUp
  #arrived: (() => void) | undefined

  constructor(letter: Letter, owner: LetterOwner, followUp: FollowUp) {
    this.letter = letter
    this.owner = owner
    this.#followUp = followUp
  }

  /** `arrived` is told when there is nothing to wait for any more. */
  leave(write: EnginePorts['writeDeadLetter'], arrived: () => void): void {
    this.#arrived = arrived
    const { assignment } = this.letter
    if (assignment.state === 'released') this.rejected(new AttemptReleased())
    else assignment.follow(write(recordOf(this.letter)), undefined, this)
  }

  resolved(): void {
    if (this.#hasArrived()) this.#followUp.ended(this, true)
  }

  rejected(error: unknown): void {
    if (!this.#hasArrived()) return
    if (error instanceof AttemptReleased) this.#followUp.ended(this, false)
    else this.#followUp.failed(this, error)
  }

  /** False: that was known before. */
  #hasArrived(): boolean {
    const arrived = this.#arrived
    this.#arrived = undefined
    arrived?.()
    return arrived !== undefined
  }
}

function recordOf({ record, topic, cause }: Letter): DeadLetterRecord {
  return deadLetterRecord(record, topic, cause)
}

function sizeOf({ record: { value } }: Letter): number {
  return value?.length ?? 0
}

/** Brokers say so by the code of their error. */
function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'record-too-large'
}
