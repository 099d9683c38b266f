import type { Assignment } from './assignment.ts'
import type { Cancel, Clock } from './ports.ts'
import { retryDelay } from './retry-delay.ts'

/** Most messages that may wait for answers of the idempotency store at once. */
const mostAsking = 1_024

/** While the store is away: waits between messages that try whether it is back. */
const probeWaits = { backoff: 'exponential', delayMs: 100, maxDelayMs: 1_000, jitter: 'none' } as const

type StoreQuestion = 'claim' | 'completion'

/** How a message may ask for its claim: as one of those ahead of the places, or to see whether the store is back. */
type Leave = 'claiming' | 'probing'

/** What the claims are ahead of. */
interface PlacesAhead {
  readonly limit: number
  /** A place can be had at once. */
  readonly hasFree: boolean
  /** Others may start. */
  freed(): void
}

/**
 * The messages of one subscription that wait for the idempotency store. Claims are asked for ahead of the places, more while each finds a place at once,
 * fewer when one has to wait: so no more keys are held than the actions keep up with.
 * The store is away from the first question that it fails to answer until it answers one of that kind. Meanwhile nothing that waits for it keeps
 * others from starting, and nobody asks for a claim but one message now and then; when it is back, those that wait ask in their order, as many
 * at a time as ever, and before those that have not started.
 */
export class StoreTraffic {
  readonly #clock: Clock
  readonly #places: PlacesAhead
  /** Messages that wait for an answer, or with a claim for a place. */
  #asking = 0
  /** Those of them that have not started their actions. */
  #claiming = 0
  /** How many claims may be asked for ahead of the places. */
  #ahead: number
  /** Completions that could not be stored so far. */
  #failing = 0
  readonly #unanswered = new Set<StoreQuestion>()
  #isAway = false
  /** Those that want to ask for their claims, longest first. */
  readonly #waiting = new Set<(leave: Leave) => void>()
  #probes = 0
  /** When the next one may try, on the monotonic clock. */
  #probeAt = 0
  #cancelProbe: Cancel | undefined

  constructor(clock: Clock, places: PlacesAhead) {
    this.#clock = clock
    this.#places = places
    this.#ahead = places.limit
  }

  /** It has failed to answer, and has not been heard of since. */
  get isAway(): boolean {
    return this.#isAway
  }

  /** Another message may start. */
  get isOpen(): boolean {
    return this.#isAway || (this.#waiting.size === 0 && this.#mayClaim)
  }

  get #mayClaim(): boolean {
    return this.#claiming < this.#ahead && this.#asking < this.#mostAsking
  }

  get #mostAsking(): number {
    return Math.max(mostAsking, this.#places.limit)
  }

  /** The places are more or fewer. */
  resized(): void {
    this.#ahead = Math.max(this.#places.limit, this.#ahead)
  }

  /** A message waits for its claim, away from its place, until `claimEnds`. */
  claimBegins(): void {
    this.#claiming++
    this.#asking++
  }

  /** Its actions start, or it does not wait for the store any more. */
  claimEnds(): void {
    this.#claiming--
    this.#asking--
  }

  /** Somebody else has the key, or the store is away: others may be asked for. */
  claimWaitsElsewhere(): void {
    this.claimEnds()
    this.#places.freed()
  }

  /** A claim that was granted has found a place at once: others may be asked for. */
  claimFits(): void {
    this.#ahead = Math.min(this.#ahead + 1, this.#mostAsking)
    this.claimEnds()
    this.#places.freed()
  }

  /** A claim that was granted has to wait for a place. */
  claimWaits(): void {
    this.#ahead = Math.max(this.#places.limit, this.#ahead >> 1)
  }

  /** A message waits for its completion to be stored, away from its place, until `completionEnds`. */
  completionBegins(): void {
    this.#asking++
  }

  completionEnds(): void {
    this.#asking--
  }

  /** A completion could not be stored and is tried again, until `completionFailsNoMore`. */
  completionFails(): void {
    this.#failing++
  }

  completionFailsNoMore(): void {
    if (--this.#failing === 0) this.answered('completion')
  }

  completionWaitsElsewhere(): void {
    this.completionEnds()
    this.#places.freed()
  }

  failed(what: StoreQuestion): void {
    this.#unanswered.add(what)
    if (this.#isAway) return
    this.#isAway = true
    this.#probes = 0
    this.#planProbe()
    this.#places.freed()
  }

  /** It has answered; or nobody asks any more, and it is not known what it would do. Cheap to call for every answer. */
  answered(what: StoreQuestion): void {
    if (!this.#isAway) return
    this.#unanswered.delete(what)
    if (this.#unanswered.size > 0) return
    this.#isAway = false
    this.#stopWatch()
    this.#places.freed()
  }

  /** Waits until the message may ask for its claim. Undefined: the partition is leaving. */
  async untilMayAsk(assignment: Assignment): Promise<Leave | undefined> {
    if (assignment.state !== 'active') return undefined
    if (this.#waiting.size === 0) {
      if (this.#isAway && this.#clock.monotonic() >= this.#probeAt) {
        this.#planProbe()
        return 'probing'
      }
      if (!this.#isAway && this.#mayClaim && this.#places.hasFree) {
        this.claimBegins()
        return 'claiming'
      }
    }
    let given: Leave | undefined
    await assignment.pause(resume => {
      const waiter = (leave: Leave) => {
        given = leave
        resume()
      }
      this.#waiting.add(waiter)
      this.#watch()
      return () => {
        this.#waiting.delete(waiter)
        if (this.#waiting.size === 0) this.#stopWatch()
      }
    })
    return given
  }

  /** A place may be free: those that wait may ask. */
  serve(): void {
    if (this.#isAway || this.#waiting.size === 0) return
    for (const waiter of this.#waiting) {
      if (!this.#mayClaim || !this.#places.hasFree) return
      this.#waiting.delete(waiter)
      this.claimBegins()
      waiter('claiming')
    }
  }

  #planProbe(): void {
    this.#probeAt = this.#clock.monotonic() + retryDelay(probeWaits, ++this.#probes, () => 0)
  }

  /** While somebody waits: nothing is left behind of a partition that has gone. */
  #watch(): void {
    if (!this.#isAway || this.#waiting.size === 0) return
    this.#cancelProbe ??= this.#clock.schedule(Math.max(0, this.#probeAt - this.#clock.monotonic()), () => {
      this.#cancelProbe = undefined
      const [waiter] = this.#waiting
      if (waiter === undefined) return
      this.#waiting.delete(waiter)
      this.#planProbe()
      waiter('probing')
      this.#watch()
    })
  }

  #stopWatch(): void {
    this.#cancelProbe?.()
    this.#cancelProbe = undefined
  }
}
