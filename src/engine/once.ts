import type { IdempotencyPlan } from '../compiler/plan.ts'
import { ClaimGuard } from './claim-guard.ts'
import { countEnd, type RouteEnd } from './counters.ts'
import type { DeadLetterCause } from './dead-letter.ts'
import type { RouteJob } from './delivery.ts'
import { type Ending, endingOf } from './ending.ts'
import { errorCause, type RunEnd, type Settlement } from './execution.ts'
import { contentCheck, type ScopedKey } from './idempotency-key.ts'
import { askToClaim, type KeyWait, untilClaimed, untilCompleted } from './key-waits.ts'
import type { ClaimAnswer, ClaimQuestion, CompletionQuestion, IdempotencyPort, KeyHolding } from './ports.ts'
import type { StoreTraffic } from './store-traffic.ts'
import { Whereabouts } from './whereabouts.ts'

/** What a route does under its claim, and how it ends for what cannot be mended. */
export interface GuardedSteps {
  /** Runs the actions. Undefined: they have ended already. `guard.actionsEnd` says how. */
  start(job: RouteJob, guard: ClaimGuard): Promise<void> | undefined
  /** Ends the route for this message as a failure that trying again cannot mend. */
  refuse(job: RouteJob, cause: Pick<DeadLetterCause, 'type' | 'message' | 'error'>): Promise<Settlement>
  /** Ends it after a fault of our own. Never rejects. */
  fault(job: RouteJob, error: unknown): RunEnd | Promise<RunEnd>
}

/**
 * Runs a route under a claim on its key: once completed, not once run. Synchronous where the store and the actions are; undefined:
 * settled. The actions never run without the claim; a completed key settles the message as a duplicate.
 */
export function runOnce(job: RouteJob, plan: IdempotencyPlan, steps: GuardedSteps): Ending | undefined {
  const port = job.delivery.execution.ports.idempotency
  if (port === undefined) throw new Error('a route has `idempotency`, and no store is open')
  let key: ScopedKey
  let check: string
  try {
    key = job.delivery.execution.keyScopes.keyOf(plan, job.delivery.plan.group, job.route, job.scope)
    check = plan.check ? contentCheck(job.scope) : ''
  } catch (error) {
    return endingOf(steps.refuse(job, errorCause(error)))
  }
  const once = new Once(job, plan, steps, port, key, check)
  return once.run() ? undefined : once
}

/** One route on one message. It is itself what the store is asked and answers, and what waits for its end: a message under a claim costs few objects, and no promise. */
class Once implements Ending, ClaimQuestion, CompletionQuestion {
  readonly scope: string
  readonly key: string
  readonly check: string
  owner = ''
  readonly #job: RouteJob
  readonly #plan: IdempotencyPlan
  readonly #steps: GuardedSteps
  readonly #port: IdempotencyPort
  #claimedAt = 0
  /** How the actions ended, while their completion is stored. */
  #end: RouteEnd | undefined
  #hasBegun = false
  /** Made for what waits alone. */
  #whereabouts: Whereabouts | undefined
  #ended: RunEnd | undefined
  #listener: ((end: RunEnd) => void) | undefined

  constructor(job: RouteJob, plan: IdempotencyPlan, steps: GuardedSteps, port: IdempotencyPort, { scope, key }: ScopedKey, check: string) {
    this.#job = job
    this.#plan = plan
    this.#steps = steps
    this.#port = port
    this.scope = scope
    this.key = key
    this.check = check
  }

  get leaseMs(): number {
    return this.#port.leaseMs
  }

  get ttlMs(): number {
    return this.#plan.ttlMs
  }

  get waitsForClaim(): boolean {
    return !this.#hasBegun
  }

  /** True: it has settled. */
  run(): boolean {
    let answer: ClaimAnswer | undefined
    if (this.#store.isAway) return this.#wait(this.#runWhenClaimed(undefined))
    try {
      answer = this.#claim()
    } catch (error) {
      return this.#wait(this.#runWhenClaimed(Promise.reject(error)))
    }
    if (answer !== undefined) return this.#goOnWith(answer)
    this.#goAway('claiming')
    return false
  }

  answered(answer: ClaimAnswer | boolean): void {
    this.#store.answered(typeof answer === 'boolean' ? 'completion' : 'claim')
    let isSettled: boolean
    try {
      isSettled = typeof answer === 'boolean' ? this.#stored(answer) : this.#goOnWith(answer)
    } catch (error) {
      this.#fault(error)
      return
    }
    if (isSettled) this.#tell('settled')
  }

  failed(error: unknown): void {
    const end = this.#end
    this.#wait(end === undefined ? this.#runWhenClaimed(Promise.reject(error)) : this.#complete(end, Promise.reject(error)))
  }

  whenEnded(listener: (end: RunEnd) => void): void {
    if (this.#ended === undefined) this.#listener = listener
    else listener(this.#ended)
  }

  #fault(error: unknown): void {
    endingOf(this.#steps.fault(this.#job, error)).whenEnded(end => this.#tell(end))
  }

  #tell(end: RunEnd): void {
    this.#ended = end
    this.#listener?.(end)
  }

  /** What waits longer than for one answer goes on in promises. */
  #wait(promise: Promise<Settlement>): false {
    promise.then(
      settlement => this.#tell(settlement),
      (error: unknown) => this.#fault(error),
    )
    return false
  }

  /** True: it has settled. Where it was away for the answer it needs its place again. */
  #goOnWith(answer: ClaimAnswer): boolean {
    if (answer === 'claimed') {
      const { assignment, offset } = this.#job.delivery
      const mayAct = this.#whereabouts === undefined || (assignment.mayBegin(offset) && this.#whereabouts.enter())
      return mayAct ? this.#act() : this.#wait(this.#runWhenClaimed(answer))
    }
    if (answer === 'busy') return this.#wait(this.#runWhenClaimed(answer))
    this.#whereabouts?.comeBack()
    const ended = this.#leaveOut(answer.check)
    return ended === 'settled' || this.#wait(ended)
  }

  /** Runs the actions under the claim and completes, at once as long as they and the store answer so: true. */
  #act(): boolean {
    const guard = this.#guard(this.#claimedAt)
    const running = this.#start(guard)
    const end = guard.actionsEnd
    if (running !== undefined || !isWhole(end)) return this.#wait(this.#goOn(guard, running))
    let isStored: boolean | undefined
    try {
      isStored = this.#port.complete(this)
    } catch (error) {
      return this.#wait(this.#complete(end, Promise.reject(error)))
    }
    if (isStored === false) return this.#wait(this.#complete(end, isStored))
    if (isStored === true) {
      this.#store.answered('completion')
      countEnd(this.#job.counters, end)
      return true
    }
    this.#end = end
    this.#goAway('completing')
    return false
  }

  /** True: it has settled. */
  #stored(isStored: boolean): boolean {
    const end = this.#end
    if (end === undefined) return false
    if (!isStored || this.#job.delivery.assignment.state === 'released') return this.#wait(this.#complete(end, isStored))
    this.#whereabouts?.comeBack()
    countEnd(this.#job.counters, end)
    return true
  }

  /** The key is completed already. */
  #leaveOut(check: string): 'settled' | Promise<Settlement> {
    const { counters, delivery, route, scope } = this.#job
    if (check !== '' && this.check !== '' && check !== this.check) {
      delivery.assignment.begins(delivery.offset)
      return this.#steps.refuse(this.#job, {
        type: 'idempotency-mismatch',
        message: `the key was completed with another event or other data: ${this.scope}${this.key}`,
        error: undefined,
      })
    }
    counters.duplicate++
    delivery.execution.ports.observer?.leftOut(route, scope.record, 'duplicate')
    return 'settled'
  }

  /** Waits for the claim and for a place, and runs the actions; `resume`: goes on with them. `first` undefined: the store is away. */
  async #runWhenClaimed(
    first: ClaimAnswer | Promise<ClaimAnswer> | undefined,
    resume?: (guard: ClaimGuard) => Promise<void>,
  ): Promise<Settlement> {
    const whereabouts = this.#placed()
    if (first === undefined) {
      this.owner = this.#port.nextOwner()
      whereabouts.waitElsewhere()
    } else whereabouts.goAway('claiming')
    const claim = await untilClaimed(this.#keyWait, first, this.#claimedAt)
    if (typeof claim === 'object' && 'claimedAt' in claim) {
      const guard = this.#guard(claim.claimedAt)
      if (await this.#untilPlaced(whereabouts, guard)) return this.#goOn(guard, this.#start(guard, resume))
      guard.release()
      return 'released'
    }
    whereabouts.comeBack()
    return claim === 'released' ? claim : this.#leaveOut(claim.check)
  }

  /** Holds the claim until the actions may start; false: they must not any more. */
  async #untilPlaced(whereabouts: Whereabouts, guard: ClaimGuard): Promise<boolean> {
    if (whereabouts.enter()) return true
    guard.hold()
    const { assignment, offset } = this.#job.delivery
    return whereabouts.untilPlaced(assignment, offset)
  }

  /** Waits for the actions, then completes or gives up the key. */
  async #goOn(guard: ClaimGuard, running: Promise<void> | undefined): Promise<Settlement> {
    const { counters, delivery } = this.#job
    try {
      await running
    } catch (error) {
      guard.release()
      throw error
    }
    const end = guard.actionsEnd
    if (isWhole(end)) {
      guard.end()
      this.#goAway('completing')
      return this.#complete(end)
    }
    if (typeof end === 'object') {
      guard.end()
      this.#sayLost()
      if (delivery.assignment.state !== 'active') return 'released'
      return this.#runWhenClaimed(this.#store.isAway ? undefined : this.#claimAgain(), end.resume)
    }
    guard.release()
    if (end === undefined || end === 'released') return 'released'
    countEnd(counters, end)
    return 'settled'
  }

  #sayLost(): void {
    const { delivery, route, scope } = this.#job
    const { topic, partition, offset } = scope
    delivery.execution.counters.leasesLost++
    delivery.execution.ports.log.warn(
      { topic, partition, offset, route: route.id },
      'the lease on the idempotency key was lost: the route waits for the key, then goes on with the action it was at',
    )
  }

  async #complete(end: RouteEnd, first?: boolean | Promise<boolean>): Promise<Settlement> {
    try {
      if ((await untilCompleted(this.#keyWait, this, first)) === 'released') return 'released'
      countEnd(this.#job.counters, end)
      return 'settled'
    } finally {
      this.#whereabouts?.comeBack()
    }
  }

  /** A new owner for every claim but those asked again. */
  #claim(): ClaimAnswer | undefined {
    this.#claimedAt = this.#job.delivery.execution.ports.clock.monotonic()
    this.owner = this.#port.nextOwner()
    return this.#port.claim(this)
  }

  #claimAgain(): Promise<ClaimAnswer> {
    this.#claimedAt = this.#job.delivery.execution.ports.clock.monotonic()
    this.owner = this.#port.nextOwner()
    return askToClaim(this.#port, this.#holding)
  }

  get #holding(): KeyHolding {
    return { scope: this.scope, key: this.key, owner: this.owner }
  }

  get #keyWait(): KeyWait {
    const { delivery, route } = this.#job
    const { assignment, execution, offset } = delivery
    return { execution, assignment, offset, route: route.id, port: this.#port, holding: this.#holding, whereabouts: this.#placed() }
  }

  #guard(claimedAt: number): ClaimGuard {
    return new ClaimGuard(this.#job.delivery.execution.ports.clock, claimedAt, this.#port, this.#holding)
  }

  #start(guard: ClaimGuard, resume?: (guard: ClaimGuard) => Promise<void>): Promise<void> | undefined {
    this.#hasBegun = true
    this.#job.delivery.assignment.begins(this.#job.delivery.offset)
    try {
      return resume === undefined ? this.#steps.start(this.#job, guard) : resume(guard)
    } catch (error) {
      guard.release()
      throw error
    }
  }

  #goAway(to: 'claiming' | 'completing'): void {
    this.#placed().goAway(to)
  }

  #placed(): Whereabouts {
    const { delivery, isAlone } = this.#job
    this.#whereabouts ??= new Whereabouts(this.#store, delivery.seat, isAlone)
    return this.#whereabouts
  }

  get #store(): StoreTraffic {
    return this.#job.delivery.execution.places.store
  }
}

/** The route did what it had to: its key is completed. */
function isWhole(end: ClaimGuard['actionsEnd']): end is 'done' | 'skipped' | 'dropped' {
  return end === 'done' || end === 'skipped' || end === 'dropped'
}
