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

/** A route with `idempotency` on one message. */
export interface OnceInput {
  readonly execution: Execution
  readonly assignment: Assignment
  readonly group: string
  readonly route: RoutePlan
  readonly plan: IdempotencyPlan
  readonly scope: MessageScope
  readonly counters: RouteCounters
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

  constructor(input: OnceInput, port: IdempotencyPort, key: string, check: string) {
    this.#input = input
    this.#port = port
    this.#key = key
    this.#check = check
  }

  run(): Promise<Settlement> | undefined {
    const { start } = this.#input
    const claimedAt = this.#input.execution.ports.clock.monotonic()
    const answer = this.#claim()
    if (answer !== 'claimed') return this.#runWhenClaimed(answer, claimedAt, start)
    const guarded = this.#guarded(claimedAt)
    const running = this.#started(start, guarded)
    if (running !== undefined) return this.#goOn(guarded, running)
    const { end } = guarded
    if (end?.kind !== 'done') return this.#goOn(guarded, undefined)
    const stored = this.#complete()
    if (stored !== true) return this.#completeInTime(end.count, stored)
    end.count()
    return undefined
  }

  /** Waits for the claim, and runs the actions under it. */
  async #runWhenClaimed(
    first: ClaimAnswer | Promise<ClaimAnswer>,
    firstAt: number,
    start: (guarded: Guarded) => Promise<void> | undefined,
  ): Promise<Settlement> {
    const { counters, execution, refuse, route, scope } = this.#input
    const claim = await this.#untilClaimed(first, firstAt)
    if (claim === 'released') return 'released'
    if (typeof claim === 'object') {
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
    const guarded = this.#guarded(claim)
    return this.#goOn(guarded, this.#started(start, guarded))
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
        return this.#completeInTime(end.count, undefined)
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
  async #completeInTime(count: () => void, first: boolean | Promise<boolean> | undefined): Promise<Settlement> {
    const { assignment, execution } = this.#input
    let asked = first
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
    const holding = { key: this.#key, owner: this.#owner, leaseMs: this.#port.leaseMs }
    const guard = new ClaimGuard(this.#input.execution.ports.clock, claimedAt, this.#port.leaseMs, () => this.#port.renew(holding))
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
