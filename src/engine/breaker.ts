import type { ActionPlan, BreakerPolicy } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import type { SubscriptionCounters } from './counters.ts'
import type { Cancel, Clock, EngineLog } from './ports.ts'

/** What an attempt may do: `go`, `probe` (alone, to see whether it works again), or nothing, because the partition is given up. */
export type Admission = 'go' | 'probe' | 'released'

interface BreakerPorts {
  readonly clock: Clock
  readonly log: EngineLog
}

/**
 * Watches one action over all its messages. After so many failures in a row it opens: further attempts wait, so that a dependency that is down
 * does not use up the attempts of a whole backlog. Once `reset` is over one attempt goes ahead: if it works, all go on. Where nothing but one key
 * has failed since it last worked, the key may be to blame: its attempts are then used up as ever, so that it does not wait for ever.
 */
export class Breaker {
  #policy: BreakerPolicy
  readonly #ports: BreakerPorts
  readonly #counters: SubscriptionCounters
  readonly #name: object
  #failures = 0
  /** What alone has failed since it last worked; undefined once there are others. */
  #suspect: string | undefined
  #isOpen = false
  #isProbing = false
  /** Open, and `reset` is not over. */
  #cooling: Cancel | undefined
  /** Those that wait, longest first, and what each is of. */
  readonly #waiting = new Map<() => void, string>()

  constructor(policy: BreakerPolicy, ports: BreakerPorts, counters: SubscriptionCounters, name: object) {
    this.#policy = policy
    this.#ports = ports
    this.#counters = counters
    this.#name = name
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** The numbers of a newer plan. */
  follow(policy: BreakerPolicy): void {
    this.#policy = policy
  }

  /**
   * Waits while it is open. A `probe` must be ended with `succeeded`, `failed` or `leave`. `source`: the message's key, or what else it shares with no
   * other.
   */
  async admit(assignment: Assignment, source: string): Promise<Admission> {
    while (this.#isOpen) {
      if (!this.#isProbing && this.#cooling === undefined) {
        this.#isProbing = true
        return 'probe'
      }
      const goesOn = await assignment.pauseToTry(resume => {
        this.#waiting.set(resume, source)
        return () => this.#waiting.delete(resume)
      })
      if (!goesOn) return 'released'
    }
    return 'go'
  }

  succeeded(): void {
    this.#failures = 0
    if (this.#isOpen) this.#close()
  }

  /** `source` as for `admit`. True where the attempt is used up. */
  failed(admission: Admission, source: string): boolean {
    if (this.#failures === 0) this.#suspect = source
    else if (this.#suspect !== source) this.#suspect = undefined
    this.#failures++
    if (admission === 'probe') {
      this.#isProbing = false
      this.#cool()
      return this.#suspect !== undefined
    }
    if (!this.#isOpen && this.#failures >= this.#policy.failures) this.#open()
    return true
  }

  #open(): void {
    this.#isOpen = true
    this.#counters.breakerOpened++
    this.#counters.breakersOpen++
    this.#ports.log.error(
      { ...this.#name, failures: this.#failures, resetMs: this.#policy.resetMs },
      this.#suspect === undefined
        ? 'the breaker opened: its messages wait, and their attempts are not used up'
        : 'the breaker opened: its messages wait; only one key has failed, and its attempts are used up',
    )
    this.#cool()
  }

  /** A probe that says nothing: somebody else may try. */
  leave(admission: Admission): void {
    if (admission !== 'probe') return
    this.#isProbing = false
    this.#wakeOne()
  }

  #cool(): void {
    this.#cooling?.()
    this.#cooling = this.#ports.clock.schedule(this.#policy.resetMs, () => {
      this.#cooling = undefined
      this.#wakeOne()
    })
  }

  #close(): void {
    this.#cooling?.()
    this.#cooling = undefined
    this.#isOpen = false
    this.#isProbing = false
    this.#counters.breakersOpen--
    this.#ports.log.info({ ...this.#name, waiting: this.#waiting.size }, 'the breaker closed: it works again')
    const all = [...this.#waiting.keys()]
    this.#waiting.clear()
    for (const resume of all) resume()
  }

  /**
   * The one that has waited longest: a message that fails for its own sake does not stand before all others. Where one key alone has failed, one of
   * another key, which will show what is to blame.
   */
  #wakeOne(): void {
    const [longest] = this.#waiting.keys()
    const chosen = this.#suspect === undefined ? longest : (this.#firstBesides(this.#suspect) ?? longest)
    if (chosen === undefined) return
    this.#waiting.delete(chosen)
    chosen()
  }

  #firstBesides(suspect: string): (() => void) | undefined {
    for (const [resume, source] of this.#waiting) if (source !== suspect) return resume
    return undefined
  }
}

/** The breakers of a subscription's actions. They outlive plans, so that a reload does not forget that a dependency is down. */
export class Breakers {
  readonly #ports: BreakerPorts
  readonly #counters: SubscriptionCounters
  readonly #byRoute = new Map<string, Breaker[]>()

  constructor(ports: BreakerPorts, counters: SubscriptionCounters) {
    this.#ports = ports
    this.#counters = counters
  }

  /** Undefined for an action that has none. */
  of(route: string, { position, breaker: policy, action }: ActionPlan): Breaker | undefined {
    if (policy === undefined) return undefined
    let ofRoute = this.#byRoute.get(route)
    if (ofRoute === undefined) {
      ofRoute = []
      this.#byRoute.set(route, ofRoute)
    }
    let breaker = ofRoute[position]
    if (breaker === undefined) {
      breaker = new Breaker(policy, this.#ports, this.#counters, { route, action: `${position}:${action.kind}` })
      ofRoute[position] = breaker
    }
    breaker.follow(policy)
    return breaker
  }
}
