import type { SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { SubscriptionCounters } from './counters.ts'
import { letterReference } from './dead-letter.ts'
import { errorCause } from './execution.ts'
import type { DeadLetterRecord, EnginePorts } from './ports.ts'
import type { Seat } from './seat.ts'
import type { TopicWrites } from './topic-writes.ts'

/** A dead letter on its way. */
export interface Letter {
  readonly assignment: Assignment
  /** The message that it is of. */
  readonly record: SourceRecord
  readonly letter: DeadLetterRecord
  /** What becomes of one that is too large for its topic. */
  readonly oversize: 'reference' | undefined
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
  /** Of those that gather now. */
  #departure: Promise<void> | undefined

  constructor(ports: EnginePorts, counters: SubscriptionCounters, writes: TopicWrites) {
    this.#ports = ports
    this.#writes = writes
    this.#counters = counters
  }

  mayGoAhead({ topic }: DeadLetterRecord): boolean {
    return this.#takers.has(topic) && !this.#writes.isFailing(topic) && this.#letters < aheadLimit.letters && this.#bytes < aheadLimit.bytes
  }

  /** False: the partition was given up first. `goesOn`: the message has more to do. Never rejects. */
  write(letter: Letter, seat: Seat, goesOn: boolean): Promise<boolean> {
    return this.#untilWritten(letter, seat, goesOn, () => this.#send(letter))
  }

  /** The same for a letter that no lane waits for: it may wait for others, to travel with them. */
  async writeAhead(letter: Letter): Promise<boolean> {
    const bytes = letter.letter.value?.length ?? 0
    this.#letters++
    this.#bytes += bytes
    const isWritten = await this.#untilWritten(letter, undefined, false, async () => {
      await this.#nextDeparture()
      if (letter.assignment.state === 'released') throw new AttemptReleased()
      await this.#send(letter)
    })
    this.#letters--
    this.#bytes -= bytes
    return isWritten
  }

  async #send({ letter, oversize }: Letter): Promise<void> {
    try {
      await this.#ports.writeDeadLetter(letter)
    } catch (error) {
      if (oversize !== 'reference' || !isTooLarge(error)) throw error
      await this.#ports.writeDeadLetter(letterReference(letter))
      this.#counters.deadLetterReferences++
    }
  }

  async #untilWritten(
    { assignment, record: { topic: originalTopic, partition, offset }, letter: { topic } }: Letter,
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

  /** At once where none left lately. */
  #nextDeparture(): Promise<void> | undefined {
    const { clock } = this.#ports
    const waitMs = this.#leftAt + gatherMs - clock.monotonic()
    if (this.#departure === undefined && waitMs <= 0) {
      this.#leftAt = clock.monotonic()
      return undefined
    }
    this.#departure ??= new Promise(resolve => {
      clock.schedule(waitMs, () => {
        this.#leftAt = clock.monotonic()
        this.#departure = undefined
        resolve()
      })
    })
    return this.#departure
  }
}

/** Brokers say so by the code of their error. */
function isTooLarge(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'record-too-large'
}
