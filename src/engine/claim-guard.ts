import type { RouteEnd } from './counters.ts'
import type { Cancel, Clock, IdempotencyPort, KeyHolding } from './ports.ts'
import type { Abortable, Watch } from './running-attempts.ts'

/** The lease on the key ran out or somebody else has the key: the attempt's outcome no longer counts, and no further action starts. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
  constructor() {
    super('the lease on the idempotency key was lost')
  }
}

/**
 * How the actions ended that ran under a claim; it is counted once the completion is stored, or the key given up. `resume`: the lease was lost, and they go
 * on from where they stopped under another claim.
 */
export type GuardedEnd = RouteEnd | 'released' | { readonly resume: (guard: ClaimGuard) => Promise<void> }

/**
 * A claim that has been granted, for as long as its lease holds. The lease counts from when the claim was sent: the store can only have started
 * it later. It is renewed every third of it once somebody waits under it; until then the clock is looked at before each action.
 */
export class ClaimGuard implements Watch {
  readonly #clock: Clock
  readonly #port: IdempotencyPort
  readonly #leaseMs: number
  readonly #holding: KeyHolding
  /** Made for what waits alone. */
  #attempts: Set<Abortable> | undefined
  #endsAt: number
  #lost = false
  #ended = false
  #renewal: Promise<void> | undefined
  #cancel: Cancel | undefined
  /** Set by the actions when they have ended. */
  actionsEnd: GuardedEnd | undefined

  /** `claimedAt`: on the monotonic clock. */
  constructor(clock: Clock, claimedAt: number, port: IdempotencyPort, holding: KeyHolding) {
    this.#clock = clock
    this.#port = port
    this.#leaseMs = port.leaseMs
    this.#holding = holding
    this.#endsAt = claimedAt + this.#leaseMs
  }

  get isLost(): boolean {
    return this.#lost || this.#clock.monotonic() >= this.#endsAt
  }

  /** Keeps the lease alive from now on. */
  hold(): void {
    if (this.#cancel === undefined && !this.#ended) this.#wake()
  }

  /** Aborts it once if the lease is lost before `forget`. */
  watch(attempt: Abortable): void {
    this.#attempts ??= new Set()
    this.#attempts.add(attempt)
  }

  forget(attempt: Abortable): void {
    this.#attempts?.delete(attempt)
  }

  /** The renewal that is under way, if there is one. It never rejects. */
  end(): Promise<void> | undefined {
    this.#ended = true
    this.#cancel?.()
    this.#attempts?.clear()
    return this.#renewal
  }

  /** Gives the key up. */
  release(): void {
    // A renewal that overtook the release would take the key again.
    const renewal = this.end()
    if (renewal === undefined) this.#port.release(this.#holding)
    else void renewal.then(() => this.#port.release(this.#holding))
  }

  #wake(): void {
    const now = this.#clock.monotonic()
    if (this.isLost) {
      this.#lose()
      return
    }
    const renewAt = this.#endsAt - (this.#leaseMs * 2) / 3
    if (now >= renewAt)
      this.#renewal ??= this.#askForMore(now).finally(() => {
        this.#renewal = undefined
      })
    // After the question, also where it stays without an answer: the end must not be missed.
    const next = renewAt > now ? renewAt : Math.min(this.#endsAt, now + this.#leaseMs / 3)
    this.#cancel = this.#clock.schedule(next - now, () => this.#wake())
  }

  async #askForMore(askedAt: number): Promise<void> {
    try {
      if (await this.#renew()) this.#endsAt = Math.max(this.#endsAt, askedAt + this.#leaseMs)
      else this.#lose()
    } catch {
      // The store does not answer: asked again, until the lease has run out.
    }
  }

  #renew(): Promise<boolean> {
    return new Promise((answered, failed) => {
      const answer = this.#port.renew({ ...this.#holding, leaseMs: this.#leaseMs, answered, failed })
      if (answer !== undefined) answered(answer)
    })
  }

  #lose(): void {
    if (this.#ended) return
    this.#lost = true
    this.#cancel?.()
    const reason = new LeaseLost()
    if (this.#attempts === undefined) return
    for (const attempt of [...this.#attempts]) attempt.abort(reason)
    this.#attempts.clear()
  }
}
