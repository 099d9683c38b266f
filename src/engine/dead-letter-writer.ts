import type { SourceRecord } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { AttemptReleased } from './attempt-run.ts'
import type { SubscriptionCounters } from './counters.ts'
import { letterReference } from './dead-letter.ts'
import { errorCause, untilWritten } from './execution.ts'
import type { DeadLetterRecord, EnginePorts } from './ports.ts'

type Oversize = 'reference' | undefined

/** Letters that nobody waits for leave together this often, in ms: a request costs many times what a letter in it costs. */
const gatherMs = 50

/** What may be under way that no lane waits for. Should the process die, what came after it in its lanes is delivered again. */
const aheadLimit = { letters: 1_000, bytes: 16 * 1024 * 1024 }

/** What is known of a dead-letter topic. */
interface TopicState {
  hasTaken: boolean
  /** Letters that could not be written and are tried again. */
  failing: number
}

/**
 * Writes dead letters until the broker has them. Once a topic has taken one, lanes go on while further ones are on their way there, so that a key of
 * which every message is refused is as fast as others; while one that failed is tried again they wait, each for its own.
 */
export class DeadLetterWriter {
  readonly #ports: EnginePorts
  readonly #counters: SubscriptionCounters
  readonly #topics = new Map<string, TopicState>()
  /** Letters under way that no lane waits for. */
  #letters = 0
  #bytes = 0
  /** When letters left last, on the monotonic clock. */
  #leftAt = Number.NEGATIVE_INFINITY
  /** Of those that gather now. */
  #departure: Promise<void> | undefined

  constructor(ports: EnginePorts, counters: SubscriptionCounters) {
    this.#ports = ports
    this.#counters = counters
  }

  mayGoAhead({ topic }: DeadLetterRecord): boolean {
    const { hasTaken, failing } = this.#stateOf(topic)
    return hasTaken && failing === 0 && this.#letters < aheadLimit.letters && this.#bytes < aheadLimit.bytes
  }

  /** False: the partition was given up first. Never rejects. */
  write(assignment: Assignment, record: SourceRecord, letter: DeadLetterRecord, oversize: Oversize): Promise<boolean> {
    return this.#untilWritten(assignment, record, letter, () => this.#send(letter, oversize))
  }

  /** The same for a letter that no lane waits for: it may wait for others, to travel with them. */
  async writeAhead(assignment: Assignment, record: SourceRecord, letter: DeadLetterRecord, oversize: Oversize): Promise<boolean> {
    const bytes = letter.value?.length ?? 0
    this.#letters++
    this.#bytes += bytes
    const isWritten = await this.#untilWritten(assignment, record, letter, async () => {
      await this.#nextDeparture()
      if (assignment.state === 'released') throw new AttemptReleased()
      await this.#send(letter, oversize)
    })
    this.#letters--
    this.#bytes -= bytes
    return isWritten
  }

  async #send(letter: DeadLetterRecord, oversize: Oversize): Promise<void> {
    try {
      await this.#ports.writeDeadLetter(letter)
    } catch (error) {
      if (oversize !== 'reference' || !isTooLarge(error)) throw error
      await this.#ports.writeDeadLetter(letterReference(letter))
      this.#counters.deadLetterReferences++
    }
  }

  async #untilWritten(
    assignment: Assignment,
    { topic: originalTopic, partition, offset }: SourceRecord,
    { topic }: DeadLetterRecord,
    write: () => Promise<void>,
  ): Promise<boolean> {
    const state = this.#stateOf(topic)
    let hasFailed = false
    const end = await untilWritten(this.#ports, assignment, write, (error, retryInMs) => {
      if (!hasFailed) state.failing++
      hasFailed = true
      this.#counters.deadLetterFailures++
      this.#ports.log.error(
        { topic, originalTopic, partition, offset, retryInMs, error: errorCause(error).message },
        'the dead letter could not be written; the message stays uncommitted and the write is tried again',
      )
      return 'again'
    })
    if (hasFailed) state.failing--
    if (end === 'written') state.hasTaken = true
    return end === 'written'
  }

  #stateOf(topic: string): TopicState {
    let state = this.#topics.get(topic)
    if (state === undefined) {
      state = { hasTaken: false, failing: 0 }
      this.#topics.set(topic, state)
    }
    return state
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
