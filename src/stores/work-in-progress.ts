import type { Holding } from './idempotency-store.ts'
import { ScopedKeys } from './scoped-keys.ts'

interface Lease extends Holding {
  /** On the process's monotonic clock, in ms. */
  readonly endsAt: number
}

/**
 * Claims of one process, for stores that serve one: what it works on is gone with it, so that it need not be written anywhere.
 */
export class WorkInProgress {
  readonly #leases = new ScopedKeys<Lease>()
  /** Not among the others yet: often it is completed before there is another, and a map that is emptied with every message costs more than all else. */
  #youngest: Lease | undefined
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** True where the key is the caller's now. */
  claim({ scope, key, owner, leaseMs }: Holding & { readonly leaseMs: number }): boolean {
    const now = this.#now()
    const claimed: Lease = { scope, key, owner, endsAt: now + leaseMs }
    const lease = this.#leaseOn(claimed)
    if (lease !== undefined && lease.owner !== owner && lease.endsAt > now) return false
    if (lease !== undefined) this.#forget(lease)
    if (this.#youngest !== undefined) this.#leases.set(this.#youngest, this.#youngest)
    this.#youngest = claimed
    return true
  }

  /** Who has the key, as the caller sees it. */
  holderOf(holding: Holding): 'caller' | 'other' | 'nobody' {
    const lease = this.#leaseOn(holding)
    if (lease === undefined) return 'nobody'
    if (lease.owner === holding.owner) return 'caller'
    return lease.endsAt > this.#now() ? 'other' : 'nobody'
  }

  release(holding: Holding): void {
    const lease = this.#leaseOn(holding)
    if (lease?.owner === holding.owner) this.#forget(lease)
  }

  /** The key is completed: nobody works on it any more. */
  forget(holding: Holding): void {
    const lease = this.#leaseOn(holding)
    if (lease !== undefined) this.#forget(lease)
  }

  #forget(lease: Lease): void {
    if (lease === this.#youngest) this.#youngest = undefined
    else this.#leases.delete(lease)
  }

  #leaseOn(holding: Holding): Lease | undefined {
    const youngest = this.#youngest
    return youngest !== undefined && youngest.key === holding.key && youngest.scope === holding.scope ? youngest : this.#leases.get(holding)
  }
}
