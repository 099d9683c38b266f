/** What metrics need to know of one subscription, taken when somebody scrapes. Totals count from the start of the process. */
export interface SubscriptionSnapshot {
  /** The subscription's name: `orders`, `shop/orders`. */
  readonly subscription: string
  /** Messages taken from the broker. */
  readonly received: number
  /** Messages that reached an end and no longer hold back the commit. */
  readonly settled: number
  /** Those of them that were done before their partition came here, and did not run again. */
  readonly doneBefore: number
  /** Messages that no route names, under `unmatched: ignore`. */
  readonly unmatched: number
  readonly undecodable: number
  readonly routes: Iterable<RouteSnapshot>
  /** Actions left out, by reason: `no-event`, `null-data`. */
  readonly skips: Iterable<readonly [reason: string, count: number]>
  readonly retries: number
  readonly inFlight: number
  readonly partitions: Iterable<PartitionSnapshot>
  readonly connected: boolean
  /** Other instances share the messages, and not the sockets. */
  readonly isUnshared: boolean
  /** Partitions that are not fetched at the moment: their window is full, or `onFailure: stop` stopped them. */
  readonly pausedPartitions: number
  /** Messages that had started when their partition left, and are delivered again. */
  readonly released: number
  /** Messages that had ended then, and run again all the same. */
  readonly repeated: number
  readonly commitFailures: number
  readonly deadLetterWriteFailures: number
  /** Dead letters without their messages, which were too large for the topic. */
  readonly deadLetterReferences: number
  readonly retryTopics: { readonly messages: number; readonly writeFailures: number }
  /** Calls of batch handlers, and the messages in them. */
  readonly batches: { readonly calls: number; readonly messages: number }
  readonly breakers: { readonly opened: number; readonly open: number }
  readonly idempotency: IdempotencySnapshot
  /** Actions of messages that wait at the moment because the history of their channel does not answer. */
  readonly waitingForHistory: number
  readonly durations: DurationSnapshot
}

export interface RouteSnapshot {
  readonly route: string
  readonly outcomes: Readonly<Record<RouteOutcome, number>>
}

/** How a route ended for a message. `failed`: given up under `deadLetter: none`, `onFailure: skip`. `dropped`: a handler returned `drop()`. `duplicate`: its key was completed before. */
export type RouteOutcome = 'done' | 'filtered' | 'skipped' | 'dropped' | 'duplicate' | 'dead_lettered' | 'failed'

export interface IdempotencySnapshot {
  /** Messages that waited because somebody else worked on their key. */
  readonly waits: number
  readonly leasesLost: number
  /** Questions that the store did not answer. */
  readonly storeFailures: number
  /** Routes of messages that wait at the moment because it does not answer. */
  readonly waitingForStore: number
  /** Other instances share the messages, and not the keys. */
  readonly isUnshared: boolean
}

export interface PartitionSnapshot {
  readonly topic: string
  readonly partition: number
  /** Messages between the committed position and the broker's next offset; undefined until the broker has said. */
  readonly lag: number | undefined
}

/** Counts of message durations: how many took at most each bound, each counted in one bucket only, and one count more for the rest. */
export interface DurationSnapshot {
  readonly boundsMs: readonly number[]
  /** One longer than `boundsMs`. */
  readonly counts: readonly number[]
  readonly sumMs: number
}

export interface ReloadSnapshot {
  readonly applied: number
  readonly rejected: number
  readonly generation: number
}
