/** Upper bounds in ms of the buckets that message durations are counted in; one more bucket takes the rest. */
export const durationBoundsMs = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000] as const

/** Plain numbers that the hot path adds to; metrics read them when somebody asks. Kept over reloads. */
export class SubscriptionCounters {
  received = 0
  /** Messages that reached an end: done, dead-lettered, filtered or skipped. */
  settled = 0
  /** Those of them that were done before their partition came here, and did not run again. */
  doneBefore = 0
  /** Messages that no route names, under `unmatched: ignore`. */
  unmatched = 0
  undecodable = 0
  retries = 0
  /** Messages that were written to a retry topic. */
  retriesInTopics = 0
  retryTopicFailures = 0
  /** Calls of batch handlers, and the messages in them. */
  batchCalls = 0
  batchMessages = 0
  /** Messages that had started and did not settle when their partition left, or the run ended. */
  released = 0
  /** Messages that had settled then, and run again all the same: no commit that arrived says so. */
  repeated = 0
  commits = 0
  commitFailures = 0
  deadLetterFailures = 0
  /** Dead letters that were too large for their topics, and only say where their messages lie. */
  deadLetterReferences = 0
  /** How often the breaker of an action opened. */
  breakerOpened = 0
  /** Breakers that are open now. */
  breakersOpen = 0
  /** Messages that waited because somebody else worked on their idempotency key. */
  idempotencyWaits = 0
  leasesLost = 0
  /** Questions that the idempotency store did not answer. */
  storeFailures = 0
  /** Routes of messages that wait at the moment because it does not answer. */
  waitingForStore = 0
  /** Actions of messages that wait at the moment because the history of their channel does not answer. */
  waitingForHistory = 0
  readonly skips = new Map<string, number>()
  readonly routes = new Map<string, RouteCounters>()
  /** Of messages that waited for something; one count per bucket of `durationBoundsMs` and one for the rest. */
  readonly durations: number[] = new Array<number>(durationBoundsMs.length + 1).fill(0)
  durationSumMs = 0

  route(id: string): RouteCounters {
    let counters = this.routes.get(id)
    if (counters === undefined) {
      counters = new RouteCounters()
      this.routes.set(id, counters)
    }
    return counters
  }

  skipped(reason: string): void {
    this.skips.set(reason, (this.skips.get(reason) ?? 0) + 1)
  }

  took(ms: number): void {
    let bucket = 0
    while (bucket < durationBoundsMs.length && ms > (durationBoundsMs[bucket] ?? 0)) bucket++
    this.durations[bucket] = (this.durations[bucket] ?? 0) + 1
    this.durationSumMs += ms
  }
}

/** What became of the messages that one route names. */
export class RouteCounters {
  done = 0
  /** Its `when` did not hold. */
  filtered = 0
  /** Every action was left out: no event, no data. */
  skipped = 0
  /** A handler returned `drop()`. */
  dropped = 0
  deadLettered = 0
  /** Its idempotency key was completed before. */
  duplicate = 0
  /** Given up under `deadLetter: none`, `onFailure: skip`. */
  failed = 0
}

/** How a route ended for one message. `moved`: it goes on from a retry topic, and is counted there. */
export type RouteEnd = 'done' | 'skipped' | 'dropped' | 'dead-lettered' | 'failed' | 'moved'

export function countEnd(counters: RouteCounters, end: RouteEnd): void {
  switch (end) {
    case 'done':
      counters.done++
      return
    case 'skipped':
      counters.skipped++
      return
    case 'dropped':
      counters.dropped++
      return
    case 'dead-lettered':
      counters.deadLettered++
      return
    case 'failed':
      counters.failed++
      return
    case 'moved':
      return
  }
}
