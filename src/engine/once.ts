import type { IdempotencyPlan, RoutePlan } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { ClaimGuard } from './claim-guard.ts'
import type { RouteCounters } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import { type Execution, errorCause, type Settlement } from './execution.ts'
import { contentCheck, scopedKey } from './idempotency-key.ts'
import type { MessageScope } from './message-scope.ts'
import type { ClaimAnswer, IdempotencyPort } from './ports.ts'
import { retryDelay } from './retry-delay.ts'
import type { Seat } from './seat.ts'
import { Whereabouts } from './whereabouts.ts'

/** A route with `idempotency` on one message. */
export interface OnceInput {
  readonly execution: Execution
  readonly assignment: Assignment
  readonly group: string
  readonly route: RoutePlan
  readonly plan: IdempotencyPlan
  readonly scope: MessageScope
  readonly counters: RouteCounters
  readonly seat: Seat
  /** The message has no other route: it leaves its place to another message while it waits for the store. */
  readonly isAlone: boolean
  /** Runs the actions, or goes on with them where the lease was lost. Undefined: `guarded.end` says how they ended. */
  start(guarded: Guarded): Promise<void> | undefined
  /** Ends the route for this message as a failure that trying again cannot mend. */
  refuse(cause: Pick<DeadLetterCause, 'type' | 'message' | 'stack'>): Promise<Settlement>
}

/** What the actions need to know of the claim they run under, and what they say when they have ended. */
export interface Guarded {
  guard: ClaimGuard
  end: GuardedEnd | undefined
}

/** `done` and `given-up` are counted when they are settled: once the completion is stored, or the dead letter written. */
export type GuardedEnd =
  | { readonly kind: 'done' | 'given-up'; readonly count: () => void }
  | { readonly kind: 'released' }
  /** The lease was lost: `resume` goes on from where the actions stopped, under another claim. */
  | { readonly kind: 'lease-lost'; readonly resume: (guarded: Guarded) => Promise<void> }

/** Waits while somebody else works on the key. */
const busyWaits = { backoff: 'exponential', delayMs: 25, maxDelayMs: 1_000, jitter: 'none' } as const
/** Waits while the store does not answer. */
const storeWaits = { backoff: 'exponential', delayMs: 100, maxDelayMs: 1_000, jitter: 'full' } as const

/**
 * Runs a route under a claim on its key: once completed, not once run. Synchronous where the store and the actions are; undefined:
 * settled. The actions never run without the claim; a completed key settles the message as a duplicate.
 */
export function runOnce(input: OnceInput): Promise<Settlement> | undefined {
  const { execution, plan } = input
  const port = execution.ports.idempotency
  if (port === undefined) throw new Error('a route has `idempotency`, and no store is open')
  let key: string
  let check: string
  try {
    key = scopedKey(plan, input.group, input.route.name, input.scope)
    check = plan.check ? contentCheck(input.scope) : ''
  } catch (error) {
    return input.refuse(errorCause(error))
  }
  return new Once(input, port, key, check).run()
}

class Once {
  readonly #input: OnceInput
  readonly #port: IdempotencyPort
  readonly #key: string
  readonly #check: string
  #owner = ''
  #isBlocked = false
  readonly #whereabouts: Whereabouts

  constructor(input: OnceInput, port: IdempotencyPort, key: string, check: string) {
    this.#input = input
    this.#port = port
    this.#key = key
    this.#check = check
    this.#whereabouts = new Whereabouts(input.execution.places, input.seat, input.isAlone)
  }

  run(): Promise<Settlement> | undefined {
    const { start, execution } = this.#input
    const claimedAt = execution.ports.clock.monotonic()
    const answer = this.#claim()
    if (answer === 'claimed') {
      const ended = this.#act(claimedAt)
      return ended === 'settled' ? undefined : ended
    }
    if (!(answer instanceof Promise)) return this.#runWhenClaimed(answer, claimedAt, start)
    this.#whereabouts.goAway('claiming')
    return answer.then(
      granted => {
        const { assignment } = this.#input
        const isReady = granted === 'claimed' && assignment.state === 'active' && this.#whereabouts.enter()
        return isReady ? this.#act(claimedAt) : this.#runWhenClaimed(granted, claimedAt, start)
      },
      (error: unknown) => this.#runWhenClaimed(Promise.reject(error), claimedAt, start),
    )
  }

  /** Runs the actions under the claim, and completes. At once as long as they and the store answer so. */
  #act(claimedAt: number): 'settled' | Promise<Settlement> {
    const guarded = this.#guarded(claimedAt)
    const running = this.#started(this.#input.start, guarded)
    const { end } = guarded
    if (running !== undefined || end?.kind !== 'done') return this.#goOn(guarded, running)
    const stored = this.#complete()
    if (stored === true) {
      end.count()
      return 'settled'
    }
    return stored === false ? this.#completeInTime(end.count, stored) : this.#whenStored(end.count, stored)
  }

  #whenStored(count: () => void, stored: Promise<boolean>): Promise<Settlement> {
    this.#whereabouts.goAway('completing')
    return stored.then(
      isStored => {
        if (!isStored || this.#input.assignment.state === 'released') return this.#completeInTime(count, isStored)
        this.#whereabouts.comeBack()
        count()
        return 'settled'
      },
      (error: unknown) => this.#completeInTime(count, Promise.reject(error)),
    )
  }

  /** Waits for the claim and for a place, and runs the actions. */
  async #runWhenClaimed(
    first: ClaimAnswer | Promise<ClaimAnswer>,
    firstAt: number,
    start: (guarded: Guarded) => Promise<void> | undefined,
  ): Promise<Settlement> {
    const { counters, execution, refuse, route, scope } = this.#input
    this.#whereabouts.goAway('claiming')
    const claim = await this.#untilClaimed(first, firstAt)
    if (typeof claim === 'number') {
      const guarded = this.#guarded(claim)
      if (await this.#untilPlaced(guarded)) return this.#goOn(guarded, this.#started(start, guarded))
      this.#release(guarded)
      return 'released'
    }
    this.#whereabouts.comeBack()
    if (claim === 'released') return 'released'
    if (claim.check !== '' && this.#check !== '' && claim.check !== this.#check)
      return refuse({
        type: 'idempotency-mismatch',
        message: `the key was completed with another event or other data: ${this.#key}`,
        stack: undefined,
      })
    counters.duplicate++
    execution.ports.observer?.leftOut(route, scope.record, 'duplicate')
    return 'settled'
  }

  /** Holds the claim until the actions may start; false: the partition is leaving. */
  async #untilPlaced({ guard }: Guarded): Promise<boolean> {
    if (this.#whereabouts.enter()) return true
    guard.hold()
    return this.#whereabouts.untilPlaced(this.#input.assignment)
  }

  /** The time at which the claim was asked for that was granted; the check of a completed key; or the partition is leaving. */
  async #untilClaimed(
    first: ClaimAnswer | Promise<ClaimAnswer>,
    firstAt: number,
  ): Promise<number | { readonly check: string } | 'released'> {
    const { assignment, execution } = this.#input
    let [asked, askedAt] = [first, firstAt]
    let [busy, failures] = [0, 0]
    try {
      for (;;) {
        let waitMs: number
        try {
          const answer = await asked
          this.#answered()
          if (typeof answer === 'object') return answer
          if (answer === 'claimed') {
            if (assignment.state === 'active') return askedAt
            this.#port.release({ key: this.#key, owner: this.#owner })
            return 'released'
          }
          if (busy++ === 0) execution.counters.idempotencyWaits++
          this.#whereabouts.waitElsewhere()
          waitMs = retryDelay(busyWaits, busy, execution.ports.random)
        } catch (error) {
          this.#failed(error)
          waitMs = retryDelay(storeWaits, ++failures, execution.ports.random)
        }
        if (!(await assignment.wait(waitMs))) {
          // An answer that was lost may have been a yes.
          this.#port.release({ key: this.#key, owner: this.#owner })
          return 'released'
        }
        askedAt = execution.ports.clock.monotonic()
        asked = this.#claim(this.#owner)
      }
    } finally {
      this.#unblock()
    }
  }

  /** Waits for the actions, then completes or gives up the key. */
  async #goOn(guarded: Guarded, running: Promise<void> | undefined): Promise<Settlement> {
    const { assignment, execution, route, scope } = this.#input
    try {
      await running
    } catch (error) {
      this.#release(guarded)
      throw error
    }
    const { end } = guarded
    switch (end?.kind) {
      case 'done':
        guarded.guard.end()
        this.#whereabouts.goAway('completing')
        return this.#completeInTime(end.count, this.#complete())
      case 'given-up':
        this.#release(guarded)
        end.count()
        return 'settled'
      case 'lease-lost': {
        guarded.guard.end()
        execution.counters.leasesLost++
        const { topic, partition, offset } = scope
        execution.ports.log.warn(
          { topic, partition, offset, route: route.id },
          'the lease on the idempotency key was lost: the route waits for the key, then goes on with the action it was at',
        )
        if (assignment.state !== 'active') return 'released'
        const askedAt = execution.ports.clock.monotonic()
        return this.#runWhenClaimed(this.#claim(), askedAt, end.resume)
      }
      default:
        this.#release(guarded)
        return 'released'
    }
  }

  /** Stores the completion, for as long as that takes and the partition is ours. */
  async #completeInTime(count: () => void, first: boolean | Promise<boolean>): Promise<Settlement> {
    const { assignment, execution } = this.#input
    let asked: typeof first | undefined = first
    try {
      for (let attempt = 1; ; attempt++) {
        let waits: typeof busyWaits | typeof storeWaits = busyWaits
        try {
          const stored = await (asked ?? this.#complete())
          this.#answered()
          if (assignment.state === 'released') return 'released'
          if (stored) {
            count()
            return 'settled'
          }
          // The lease was lost and somebody else works on the key: once they have completed it, so has this message.
          if (attempt === 1) execution.counters.leasesLost++
        } catch (error) {
          this.#failed(error)
          waits = storeWaits
        }
        asked = undefined
        if (!(await assignment.wait(retryDelay(waits, attempt, execution.ports.random)))) return 'released'
      }
    } finally {
      this.#unblock()
      this.#whereabouts.comeBack()
    }
  }

  /** A new owner for every claim but those asked again: an answer that was lost may have been a yes. */
  #claim(owner = this.#port.nextOwner()): ClaimAnswer | Promise<ClaimAnswer> {
    this.#owner = owner
    return answerOf(() => this.#port.claim({ key: this.#key, owner, leaseMs: this.#port.leaseMs }))
  }

  #complete(): boolean | Promise<boolean> {
    const { ttlMs } = this.#input.plan
    return answerOf(() => this.#port.complete({ key: this.#key, owner: this.#owner, ttlMs, check: this.#check }))
  }

  #guarded(claimedAt: number): Guarded {
    const guard = new ClaimGuard(this.#input.execution.ports.clock, claimedAt, this.#port, this.#key, this.#owner)
    return { guard, end: undefined }
  }

  #started(start: (guarded: Guarded) => Promise<void> | undefined, guarded: Guarded): Promise<void> | undefined {
    try {
      return start(guarded)
    } catch (error) {
      this.#release(guarded)
      throw error
    }
  }

  #release({ guard }: Guarded): void {
    const holding = { key: this.#key, owner: this.#owner }
    // A renewal that overtook the release would take the key again.
    const renewal = guard.end()
    if (renewal === undefined) this.#port.release(holding)
    else void renewal.then(() => this.#port.release(holding))
  }

  #failed(error: unknown): void {
    const { execution } = this.#input
    execution.counters.storeFailures++
    if (this.#isBlocked) return
    this.#isBlocked = true
    if (execution.counters.waitingForStore++ === 0)
      execution.ports.log.error(
        { route: this.#input.route.id, error: errorCause(error).message },
        'the idempotency store does not answer: routes with `idempotency` wait for it',
      )
  }

  #answered(): void {
    if (!this.#isBlocked) return
    this.#unblock()
    if (this.#input.execution.counters.waitingForStore === 0)
      this.#input.execution.ports.log.info({}, 'the idempotency store answers again')
  }

  #unblock(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#input.execution.counters.waitingForStore--
  }
}

/** A store that fails at once is one that does not answer. */
function answerOf<T>(ask: () => T | Promise<T>): T | Promise<T> {
  try {
    return ask()
  } catch (error) {
    return Promise.reject(error)
  }
}
