import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { BrokerError, type BrokerErrorCode, type OutgoingRecord } from '../broker.ts'
import { recordBytes } from '../record-bytes.ts'
import { assertTopicName } from '../topic-name.ts'
import { retryDelay } from './back-off.ts'
import { type KafkaPlace, toBrokerError } from './kafka-error.ts'
import type { KafkaLink } from './kafka-link.ts'
import { askMetadata, type ClusterMetadata } from './metadata-request.ts'
import { NodeConnection } from './node-connection.ts'
import { OutgoingTopic } from './outgoing-topic.ts'
import { PartitionLeader } from './partition-leader.ts'
import type { PartitionQueue, Waiting } from './partition-queue.ts'

/** Records that are not written yet take at most this much memory. */
const QUEUE_BYTES = 64 * 1024 * 1024

/** A record that gets no answer is sent again for this long: an election of new leaders fits in, an action's time-out is not used up. */
const RETRY_FOR_MS = 20_000

/** 2 to 3 s: what a broker may take to create a topic on its first record, where it does that. */
const CREATION_RETRIES = 5

/** What holds for every record of a topic: smaller parts would fare no better. */
const OF_THE_TOPIC: ReadonlySet<BrokerErrorCode> = new Set(['unknown-topic', 'invalid-topic', 'authorization', 'authentication', 'tls'])

/**
 * Writes records with one request under way to each broker: what is sent meanwhile travels together in the next one. Each partition has a queue of its own, so
 * that none waits for another's leader, nor for a topic that is missing; its records keep their order, retries included. Not idempotent in Kafka's sense: a
 * request whose answer is lost is sent again and may leave its records twice, which every reader of an at-least-once router has to expect anyway;
 * kafkajs's idempotent producer would stop for good on some errors.
 */
export class KafkaProducer {
  readonly #openLink: (brokers?: readonly string[]) => KafkaLink
  readonly #place: KafkaPlace
  /** Says where partitions are. */
  readonly #guide: NodeConnection
  readonly #topics = new Map<string, OutgoingTopic>()
  readonly #leaders = new Map<number, PartitionLeader>()
  /** Topics to ask for. */
  readonly #wanted = new Set<OutgoingTopic>()
  readonly #closing = new AbortController()
  #bytes = 0
  #records = 0
  #isAsking = false
  #isAwake = false
  #onWritten: () => void = () => {}

  constructor(openLink: (brokers?: readonly string[]) => KafkaLink, place: KafkaPlace) {
    this.#openLink = openLink
    this.#place = place
    this.#guide = new NodeConnection(() => openLink())
    // Whatever rests listens; Node takes more than ten for a leak.
    setMaxListeners(0, this.#closing.signal)
  }

  produce(record: OutgoingRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw new BrokerError('closed', 'the producer is closed', { retriable: false })
      const topic = this.#topicOf(record.topic)
      const queue = topic.queueOf(record)
      const bytes = recordBytes(record)
      // As much as is free: however many partitions are held up, there is room for the others.
      if (this.#bytes > 0 && queue.bytes + bytes > QUEUE_BYTES - this.#bytes)
        throw new BrokerError('failed', `${this.#records} records are waiting to be written; no more are taken until some have been`, {
          retriable: true,
        })
      queue.push({ record, bytes, since: Date.now(), resolve, reject })
      this.#bytes += bytes
      this.#records++
      this.#arrange(queue)
    })
  }

  /** Writes what is waiting, then closes the connections. */
  async close(): Promise<void> {
    this.#closing.abort()
    if (this.#records > 0) await new Promise<void>(resolve => (this.#onWritten = resolve))
    this.#guide.close()
    for (const leader of this.#leaders.values()) leader.close()
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  #topicOf(name: string): OutgoingTopic {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    assertTopicName(name)
    const topic = new OutgoingTopic(name)
    this.#topics.set(name, topic)
    return topic
  }

  /** What is in a queue goes on: to the leader, or to the question who that is. */
  #arrange(queue: PartitionQueue): void {
    if (queue.isEmpty || queue.isSending || queue.isResting) return
    if (queue.leader === undefined) this.#wanted.add(this.#topicOf(queue.topic))
    else queue.leader.ready.add(queue)
    this.#wake()
  }

  /** Records of one turn of the event loop travel together. */
  #wake(): void {
    if (this.#isAwake) return
    this.#isAwake = true
    setImmediate(() => {
      this.#isAwake = false
      if (this.#wanted.size > 0 && !this.#isAsking) void this.#ask()
      for (const leader of this.#leaders.values()) if (leader.ready.size > 0 && !leader.isSending) void this.#send(leader)
    })
  }

  async #send(leader: PartitionLeader): Promise<void> {
    const parts = leader.take()
    leader.isSending = true
    for (const { queue } of parts) queue.isSending = true
    const written = await leader.write(parts)
    leader.isSending = false
    const refused: PartitionQueue[] = []
    for (const { queue, items, error } of written) {
      queue.isSending = false
      if (error === undefined) this.#acknowledge(queue, items)
      else if (this.#refuse(queue, error, items)) refused.push(queue)
      else this.#arrange(queue)
    }
    void this.#rest(refused)
    this.#wake()
  }

  #acknowledge(queue: PartitionQueue, items: readonly Waiting[]): void {
    queue.failures = 0
    for (const waiting of items) waiting.resolve()
    this.#gone(queue, items)
    const topic = this.#topicOf(queue.topic)
    if (topic.isOutOfDate) this.#wanted.add(topic)
    this.#arrange(queue)
  }

  /** Asks where the partitions of all wanted topics are; what cannot be told now waits, and holds up nobody else. */
  async #ask(): Promise<void> {
    const topics = [...this.#wanted]
    this.#wanted.clear()
    for (const topic of topics) topic.isAsked()
    this.#isAsking = true
    const metadata = await this.#metadataOf(topics)
    this.#isAsking = false
    const refused: PartitionQueue[] = []
    for (const topic of topics) {
      const error = metadata instanceof BrokerError ? metadata : this.#learn(topic, metadata)
      for (const queue of topic.queues) {
        const isStuck = queue.leader === undefined && !queue.isEmpty && !queue.isSending && !queue.isResting
        if (isStuck && this.#refuse(queue, error ?? leaderless(queue), undefined)) refused.push(queue)
        else this.#arrange(queue)
      }
    }
    for (const [name, topic] of this.#topics) if (topic.isOutOfDate && topic.isIdle) this.#topics.delete(name)
    void this.#rest(refused)
    this.#wake()
  }

  async #metadataOf(topics: readonly OutgoingTopic[]): Promise<ClusterMetadata | BrokerError> {
    try {
      const names = topics.map(({ name }) => name)
      return await askMetadata(await this.#guide.broker(), names)
    } catch (error) {
      this.#guide.close()
      return toBrokerError(error, 'asking where topics are', this.#place)
    }
  }

  /** Answers with why nothing was learnt, if so. */
  #learn(topic: OutgoingTopic, { nodes, topics }: ClusterMetadata): unknown {
    for (const { nodeId, address } of nodes) {
      const known = this.#leaders.get(nodeId)
      if (known === undefined) this.#leaders.set(nodeId, new PartitionLeader(address, each => this.#openLink([each])))
      else known.moveTo(address)
    }
    const answer = topics.find(({ topic: name }) => name === topic.name)
    if (answer === undefined) return new Error(`the broker said nothing of topic "${topic.name}"`)
    if (answer.error !== undefined) return answer.error
    if (answer.leaders.length === 0)
      return new BrokerError('failed', `Kafka names no partitions of topic "${topic.name}" yet`, { retriable: true })
    const leaders = answer.leaders.map(nodeId => (nodeId === undefined ? undefined : this.#leaders.get(nodeId)))
    for (const { queue, waiting } of topic.learn(leaders)) {
      const message = `topic "${topic.name}" has no partition ${waiting.record.partition}: it has ${leaders.length}`
      this.#reject(queue, [waiting], new BrokerError('failed', message, { retriable: false }))
    }
    return undefined
  }

  /** `items`: what was sent; undefined: nothing could be. True where it waits to be tried again. */
  #refuse(queue: PartitionQueue, error: unknown, items: readonly Waiting[] | undefined): boolean {
    const failure = toBrokerError(error, `writing to topic "${queue.topic}"`, this.#place)
    const mayCome = failure.retriable || (failure.code === 'unknown-topic' && queue.failures < CREATION_RETRIES)
    if (mayCome && !this.#isClosed) {
      if (items !== undefined) queue.putBack(items)
      if (queue.failures++ === 0) queue.failingSince = Date.now()
      const latest = Date.now() - RETRY_FOR_MS
      if (queue.failingSince < latest) this.#reject(queue, queue.takeOlder(latest), failure)
      if (queue.isEmpty) queue.failures = 0
      return true
    }
    queue.failures = 0
    if (items !== undefined && items.length > 1 && !failure.retriable && !OF_THE_TOPIC.has(failure.code)) {
      // In halves, so that only those at fault are refused.
      const middle = Math.ceil(items.length / 2)
      queue.putBack(items.slice(0, middle), items.slice(middle))
      return false
    }
    // Nothing that waits behind them would fare better once nothing is tried again.
    this.#reject(queue, [...(items ?? []), ...(items === undefined || mayCome ? queue.takeAll() : [])], failure)
    return false
  }

  /** Queues that were refused together try again together. */
  async #rest(queues: readonly PartitionQueue[]): Promise<void> {
    if (queues.length === 0) return
    for (const queue of queues) {
      queue.isResting = true
      queue.follow(undefined)
    }
    const failures = Math.max(1, ...queues.map(queue => queue.failures))
    await sleep(retryDelay(failures - 1), undefined, { signal: this.#closing.signal }).catch(() => {
      // Closing: they are tried once more.
    })
    for (const queue of queues) {
      queue.isResting = false
      this.#arrange(queue)
    }
  }

  #reject(queue: PartitionQueue, items: readonly Waiting[], failure: BrokerError): void {
    for (const waiting of items) waiting.reject(failure)
    this.#gone(queue, items)
  }

  #gone(queue: PartitionQueue, items: readonly Waiting[]): void {
    for (const { bytes } of items) {
      queue.bytes -= bytes
      this.#bytes -= bytes
    }
    this.#records -= items.length
    if (this.#records === 0) this.#onWritten()
  }
}

function leaderless({ topic, partition }: PartitionQueue): BrokerError {
  return new BrokerError('failed', `partition ${partition} of topic "${topic}" has no leader`, { retriable: true })
}
