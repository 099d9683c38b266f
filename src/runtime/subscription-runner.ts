import type { Broker, CommittedOffset, Consumer, ConsumerStatus, RecordSink, TopicPartition } from '../brokers/broker.ts'
import type { RecordSequence, SubscriptionPlan } from '../compiler/plan.ts'
import type { SubscriptionCounters } from '../engine/counters.ts'
import type { LeftBehind } from '../engine/left-behind.ts'
import type { MessageLimit } from '../engine/message-limit.ts'
import { observePlan } from '../engine/observe-plan.ts'
import type { EnginePorts } from '../engine/ports.ts'
import { SubscriptionProcessor } from '../engine/subscription-processor.ts'
import { prepareTopics } from './group-topics.ts'

export interface RunnerOptions {
  readonly plan: SubscriptionPlan
  readonly broker: Broker
  readonly ports: EnginePorts
  /** Counters of an earlier runner of the same subscription: totals go on over a restart of the consumer. */
  readonly counters?: SubscriptionCounters | undefined
  readonly rebalanceMs: () => number
  /** What waits for the next try of an action starts again on a new plan. */
  readonly startsOver: boolean
  readonly limit?: MessageLimit | undefined
  readonly onJoined: () => void
  /** The keys of routes with `idempotency` are known to this process only. */
  readonly hasOwnKeys: () => boolean
  /** Broadcasts reach the sockets of this process only. */
  readonly hasOwnSockets: boolean
}

/** A subscription on its way out. */
export interface Departure {
  /** Nothing of it runs any more. */
  readonly drained: Promise<LeftBehind>
  /** Its consumer has left the group. */
  readonly left: Promise<void>
}

const firstRetryMs = 500
/** A broker that comes back is noticed within this. */
const longestRetryMs = 3_000

/** One subscription at work: its consumer, its processor, and what is known of their state. Starts by itself as soon as the broker can be reached. */
export class SubscriptionRunner implements RecordSink {
  readonly #options: RunnerOptions
  readonly #processor: SubscriptionProcessor
  readonly #stopped = new AbortController()
  #consumer: Consumer | undefined
  #started: Promise<void> | undefined
  #departure: Departure | undefined
  #joined = false
  #connected = false
  #hasCompany = false

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#processor = new SubscriptionProcessor({
      plan: this.#observed(options.plan),
      ports: options.ports,
      ...(options.counters === undefined ? {} : { counters: options.counters }),
      rebalanceMs: options.rebalanceMs,
      startsOver: options.startsOver,
      limit: options.limit,
    })
  }

  get processor(): SubscriptionProcessor {
    return this.#processor
  }

  /** Has joined its group at least once. */
  get joined(): boolean {
    return this.#joined
  }

  get connected(): boolean {
    return this.#connected
  }

  /** Other instances share the messages, and not the idempotency keys: one key may run in each of them. */
  get isUnguarded(): boolean {
    const { plan } = this.#processor
    return this.#hasCompany && plan.routes.some(route => route.idempotency !== undefined) && this.#options.hasOwnKeys()
  }

  /** Other instances handle a part of the messages, and their broadcasts reach nobody here. */
  get isUnshared(): boolean {
    const { role, routes, unmatched } = this.#processor.plan
    const all = unmatched.policy === 'actions' ? [...routes, unmatched.route] : routes
    const hasBroadcasts = all.some(({ actions }) => actions.some(({ action }) => action.kind === 'broadcast'))
    return this.#hasCompany && this.#options.hasOwnSockets && role === 'work' && hasBroadcasts
  }

  start(): void {
    this.#started ??= this.#startUntilItWorks()
  }

  /** Resolves when the last message that started on an earlier plan has ended. */
  swap(plan: SubscriptionPlan): Promise<void> {
    return this.#processor.swap(this.#observed(plan))
  }

  #observed(plan: SubscriptionPlan): SubscriptionPlan {
    const { observer } = this.#options.ports
    return observer === undefined ? plan : observePlan(plan, observer)
  }

  /** Stops fetching, lets running work end within `graceMs`, commits, leaves the group. Called again, a shorter grace holds. */
  stop(graceMs: number, commitMs?: number): Departure {
    this.#stopped.abort()
    const drained = this.#processor.drain(graceMs, commitMs)
    this.#departure ??= { drained, left: this.#leave(drained) }
    return this.#departure
  }

  async #leave(drained: Promise<LeftBehind>): Promise<void> {
    await drained
    await this.#started
    await this.#consumer?.stop()
  }

  assigned(partitions: readonly CommittedOffset[]): void {
    this.#processor.assigned(partitions)
  }

  revoked(partitions: readonly TopicPartition[], lost: boolean): Promise<void> {
    return this.#processor.revoked(partitions, lost)
  }

  records(topic: string, partition: number, records: RecordSequence, nextOffset: number, highWatermark: number): void {
    this.#processor.records(topic, partition, records, nextOffset, highWatermark)
  }

  status(event: ConsumerStatus): void {
    const { log } = this.#options.ports
    const subscription = this.#processor.plan.name
    switch (event.kind) {
      case 'joined':
        this.#connected = true
        this.#hasCompany = event.hasCompany
        log.info({ subscription, group: this.#processor.plan.group, partitions: event.partitions }, 'joined')
        if (this.isUnguarded)
          log.error(
            { subscription, group: this.#processor.plan.group },
            'the group has other members, and the idempotency store is of this process alone: one key may run in each; `store: redis` is shared',
          )
        if (this.isUnshared)
          log.error(
            { subscription, group: this.#processor.plan.group },
            'the group has other members, and the backplane is of this process alone: clients miss what the others broadcast; `type: redis` is shared',
          )
        if (!this.#joined) {
          this.#joined = true
          this.#options.onJoined()
        }
        return
      case 'rebalancing':
        log.info({ subscription }, 'rebalancing')
        return
      case 'disconnected':
        this.#connected = false
        log.warn({ subscription, retryInMs: event.retryInMs, error: event.error.message }, 'not consuming, trying again')
        return
      case 'offset-out-of-range':
        log.error(
          { subscription, topic: event.topic, partition: event.partition, resetTo: event.resetTo },
          'the committed offset is gone: going on at the earliest retained',
        )
        return
      case 'warning':
        log.warn({ subscription }, event.message)
        return
    }
  }

  /** Brokers and routers are often started together: a broker that is not there yet is waited for. */
  async #startUntilItWorks(): Promise<void> {
    const { plan, broker, ports } = this.#options
    for (let waitMs = firstRetryMs; !this.#stopped.signal.aborted; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
      try {
        const topics = await this.#unlessStopped(prepareTopics(plan, broker, ports.log))
        if (topics === undefined) return
        const group = plan.role === 'fanout' ? undefined : plan.group
        const options = { group, topics, from: plan.from, maxWaitMs: plan.batch.timeoutMs }
        const consumer = await broker.consume(options, this)
        this.#consumer = consumer
        this.#processor.attach(consumer)
        return
      } catch (error) {
        ports.log.warn(
          { subscription: plan.name, retryInMs: waitMs, error: error instanceof Error ? error.message : String(error) },
          'the consumer could not start; trying again',
        )
        await this.#pause(waitMs)
      }
    }
  }

  /** Undefined where the runner stops first: a broker that does not answer must not hold that up. */
  #unlessStopped<T>(work: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#stopped
    return new Promise((resolve, reject) => {
      const stop = () => resolve(undefined)
      signal.addEventListener('abort', stop)
      if (signal.aborted) stop()
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
    })
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#stopped
    return new Promise(resolve => {
      const end = () => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = this.#options.ports.clock.schedule(ms, end)
      signal.addEventListener('abort', end)
      if (signal.aborted) end()
    })
  }
}
