import type { ActionPlan, BatchMember, BatchOutcome, BatchUse } from '../compiler/plan.ts'
import type { Assignment } from './assignment.ts'
import { type AttemptRun, AttemptTimeout, isPermanent } from './attempt-run.ts'
import type { ClaimGuard } from './claim-guard.ts'
import type { SubscriptionCounters } from './counters.ts'
import type { LaneTurn } from './lane-turn.ts'
import type { MessageScope } from './message-scope.ts'
import type { Cancel, Clock } from './ports.ts'

/** One attempt that wants to be part of a call. */
export interface Joining {
  readonly scope: MessageScope
  readonly attempt: AttemptRun
  readonly assignment: Assignment
  readonly guard: ClaimGuard | undefined
  readonly turn: LaneTurn | undefined
}

interface Member extends BatchMember {
  readonly attempt: AttemptRun
  readonly turn: LaneTurn | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** An earlier message of the key has left the batch: this one waits for it. No attempt was made. */
export class LeftBehind extends Error {
  override readonly name = 'LeftBehind'
}

type BatchCounters = Pick<SubscriptionCounters, 'batchCalls' | 'batchMessages'>

/** The batches that messages can still join, one for each action of each version of the plan. */
export class Batches {
  readonly #clock: Clock
  readonly #counters: BatchCounters
  readonly #open = new WeakMap<ActionPlan, Batch>()

  constructor(clock: Clock, counters: BatchCounters) {
    this.#clock = clock
    this.#counters = counters
  }

  open(action: ActionPlan, use: BatchUse): Batch {
    const known = this.#open.get(action)
    if (known?.isOpen === true) return known
    const batch = new Batch(this.#clock, this.#counters, use, action.timeoutMs)
    this.#open.set(action, batch)
    return batch
  }
}

/**
 * Gathers attempts of one action into one call: until it is full, the first has waited its time, or a partition with a message in it drains. What is
 * released or loses its lease leaves it; the call goes on for the others.
 */
export class Batch {
  readonly #clock: Clock
  readonly #counters: BatchCounters
  readonly #use: BatchUse
  readonly #timeoutMs: number
  readonly #members = new Set<Member>()
  #isOpen = true
  #isAnswered = false
  /** The end of the wait, then of the call. */
  #cancel: Cancel = () => {}
  readonly #drains = new Map<Assignment, Cancel>()
  readonly #controller = new AbortController()

  constructor(clock: Clock, counters: BatchCounters, use: BatchUse, timeoutMs: number) {
    this.#clock = clock
    this.#counters = counters
    this.#use = use
    this.#timeoutMs = timeoutMs
    this.#cancel = clock.schedule(use.waitMs, () => this.#call())
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Some message of the call succeeded or was refused for good: what the handler needs is there. */
  get isAnswered(): boolean {
    return this.#isAnswered
  }

  /** The message's own outcome, bounded as that of any attempt. The time-out counts from the call. */
  join({ scope, attempt, assignment, guard, turn }: Joining): Promise<unknown> {
    let leave = () => {}
    const outcome = new Promise<unknown>((resolve, reject) => {
      const member: Member = { scope, attempt, turn, resolve, reject }
      this.#members.add(member)
      leave = () => this.#leave(member)
    })
    turn?.joined(this)
    const abort = (reason: Error) => {
      attempt.abort(reason)
      leave()
    }
    const result = assignment.settle(outcome, undefined, { abort }, guard)
    if (this.#members.size >= this.#use.size) this.#call()
    else if (assignment.state !== 'active') this.#hurry()
    else if (!this.#drains.has(assignment))
      this.#drains.set(
        assignment,
        assignment.whenDraining(() => this.#hurry()),
      )
    return result
  }

  /** What joins at the same moment still comes along. */
  #hurry(): void {
    if (!this.#isOpen) return
    this.#cancel()
    this.#cancel = this.#clock.schedule(0, () => this.#call())
  }

  #leave(member: Member): void {
    this.#members.delete(member)
    if (this.#isOpen) member.turn?.again()
    if (this.#members.size > 0) return
    if (this.#isOpen) this.#close()
    this.#cancel()
    this.#controller.abort(member.attempt.signal.reason)
  }

  #close(): void {
    this.#isOpen = false
    this.#cancel()
    for (const cancel of this.#drains.values()) cancel()
    this.#drains.clear()
  }

  #call(): void {
    this.#close()
    for (const member of this.#members) {
      if (member.turn?.called() !== false) continue
      this.#members.delete(member)
      member.turn.again()
      member.reject(new LeftBehind())
    }
    const members = [...this.#members]
    if (members.length === 0) return
    this.#counters.batchCalls++
    this.#counters.batchMessages += members.length
    this.#cancel = this.#clock.schedule(this.#timeoutMs, () => this.#timeOut())
    this.#use.call(members, this.#controller.signal).then(
      outcomes => this.#end(members, outcomes),
      (error: unknown) => this.#end(members, new Array<BatchOutcome>(members.length).fill({ error })),
    )
  }

  #timeOut(): void {
    const reason = new AttemptTimeout(this.#timeoutMs)
    for (const { attempt, reject } of this.#members) {
      attempt.abort(reason)
      reject(reason)
    }
    this.#controller.abort(reason)
  }

  /** What has left does not hear of it. */
  #end(members: readonly Member[], outcomes: readonly BatchOutcome[]): void {
    this.#cancel()
    this.#isAnswered = outcomes.some(outcome => 'value' in outcome || isPermanent(outcome.error))
    for (const [index, member] of members.entries()) {
      const outcome = outcomes[index]
      if (outcome === undefined) member.reject(new Error('the call has no outcome for this message'))
      else if ('value' in outcome) member.resolve(outcome.value)
      else member.reject(outcome.error)
    }
  }
}
