import type { SourceRecord, SubscriptionPlan } from '../../src/compiler/plan.ts'
import { MessageLimit } from '../../src/engine/message-limit.ts'
import { observePlan } from '../../src/engine/observe-plan.ts'
import type { EngineObserver } from '../../src/engine/observer.ts'
import type { ConsumerPort, DeadLetterRecord, EngineLog, IdempotencyPort, PartitionId } from '../../src/engine/ports.ts'
import { SubscriptionProcessor } from '../../src/engine/subscription-processor.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { envelope, record } from './plan-builders.ts'

export interface HarnessOptions {
  readonly partitions?: readonly number[]
  readonly rebalanceMs?: number | (() => number)
  readonly startsOver?: boolean
  readonly maxMessages?: number
  /** Shared with other processors, instead of `maxMessages`. */
  readonly limit?: MessageLimit
  readonly onLimit?: () => void
  readonly random?: () => number
  readonly writeDeadLetter?: (letter: DeadLetterRecord) => Promise<void>
  /** Before the message stands in its retry topic. */
  readonly writeRetry?: (retry: DeadLetterRecord) => Promise<void>
  readonly commit?: ConsumerPort['commit']
  /** Looks on; the plan reports to it. */
  readonly observer?: EngineObserver
  /** Made over the harness's clock. */
  readonly idempotency?: (clock: VirtualClock) => IdempotencyPort
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: object
  readonly message: string
}

export type Commit = PartitionId & { readonly offset: number; readonly metadata?: string | undefined }

/** A promise that the test settles. */
export interface Held<T = unknown> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function held<T = unknown>(): Held<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/**
 * A processor in virtual time between a broker that records what it is told, a dead-letter topic that keeps what it gets, and retry topics that
 * deliver it.
 */
export class Harness {
  readonly clock = new VirtualClock()
  readonly processor: SubscriptionProcessor
  /** Each inner list is one request. */
  readonly commits: (readonly Commit[])[] = []
  readonly letters: DeadLetterRecord[] = []
  readonly retries: DeadLetterRecord[] = []
  readonly log: LogLine[] = []
  readonly paused = new Set<string>()
  /** Pauses and resumes in order: `pause orders/0`. */
  readonly flow: string[] = []
  readonly #next = new Map<number, number>()

  constructor(plan: SubscriptionPlan, options: HarnessOptions = {}) {
    const keep = async (letter: DeadLetterRecord) => {
      this.letters.push(letter)
    }
    const { observer, rebalanceMs = 5_000 } = options
    this.processor = new SubscriptionProcessor({
      plan: observer === undefined ? plan : observePlan(plan, observer),
      ports: {
        clock: this.clock,
        random: options.random ?? (() => 0.5),
        log: this.#recordingLog(),
        idempotency: options.idempotency?.(this.clock),
        observer,
        writeDeadLetter: options.writeDeadLetter ?? keep,
        writeRetry: async retry => {
          await options.writeRetry?.(retry)
          this.#deliverRetry(retry)
        },
      },
      rebalanceMs: typeof rebalanceMs === 'number' ? () => rebalanceMs : rebalanceMs,
      startsOver: options.startsOver ?? false,
      limit:
        options.limit ?? (options.maxMessages === undefined ? undefined : new MessageLimit(options.maxMessages, () => options.onLimit?.())),
    })
    this.processor.attach({
      pause: partitions => this.#note('pause', partitions),
      resume: partitions => this.#note('resume', partitions),
      commit: async offsets => {
        await options.commit?.(offsets)
        this.commits.push(offsets)
      },
    })
    this.processor.assigned(plan.retryTopics.map(({ topic }) => ({ topic, partition: 0 })))
    this.processor.assigned((options.partitions ?? [0]).map(partition => ({ topic: 'orders', partition })))
  }

  /** Delivers values as the partition's next records; each value is one message of the given key (default: none). */
  deliver(messages: readonly { readonly key?: string | null; readonly value: string | Buffer | null }[], partition = 0): void {
    const first = this.#next.get(partition) ?? 0
    this.deliverRecords(
      messages.map(({ key = null, value }, index) => record({ partition, offset: first + index, key, value })),
      partition,
    )
  }

  /** One message with this event and data; without a key unless one is given. */
  send(event: string | undefined, data: unknown = {}, key: string | null = null, partition = 0): void {
    this.deliver([{ key, value: envelope(event, data) }], partition)
  }

  deliverRecords(records: readonly SourceRecord[], partition = 0, nextOffset = (records.at(-1)?.offset ?? -1) + 1): void {
    this.#next.set(partition, nextOffset)
    this.processor.records('orders', partition, records, nextOffset, nextOffset)
  }

  position(partition = 0): number | undefined {
    return [...this.processor.assignments].find(each => each.topic === 'orders' && each.partition === partition)?.tracker.position
  }

  /** The last offset committed for a partition. */
  committed(partition = 0, topic = 'orders'): number | undefined {
    return this.commits.flat().findLast(commit => commit.topic === topic && commit.partition === partition)?.offset
  }

  logged(level: LogLine['level']): readonly string[] {
    return this.log.filter(line => line.level === level).map(line => line.message)
  }

  #deliverRetry(retry: DeadLetterRecord): void {
    const offset = this.retries.filter(({ topic }) => topic === retry.topic).length
    this.retries.push(retry)
    this.processor.records(retry.topic, 0, [{ ...retry, partition: 0, offset, timestamp: this.clock.now() }], offset + 1, offset + 1)
  }

  #note(what: 'pause' | 'resume', partitions: readonly PartitionId[]): void {
    for (const { topic, partition } of partitions) {
      const id = `${topic}/${partition}`
      this.flow.push(`${what} ${id}`)
      if (what === 'pause') this.paused.add(id)
      else this.paused.delete(id)
    }
  }

  #recordingLog(): EngineLog {
    const line = (level: LogLine['level']) => (fields: object, message: string) => {
      this.log.push({ level, fields, message })
    }
    return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  }
}
