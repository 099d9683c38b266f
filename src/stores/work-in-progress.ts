import type { Holding } from './idempotency-store.ts'
import { ScopedKeys } from './scoped-keys.ts'

interface Lease extends Holding {
  /** On the process's monotonic clock, in ms. */
  readonly endsAt: number
  isOver: boolean
}

/** So many leases that are over stay in the map besides as many as are not. */
const mostOver = 1_024

/**
 * Claims of one process, for stores that serve one: what it works on is gone with it, so that it need not be written anywhere. Leases that are over leave
 * the map many at a time: one with as much coming and going keeps nearly all that was ever in it until the next full garbage collection.
 */
export class WorkInProgress {
  #leases = new ScopedKeys<Lease>()
  /** In the map, and how many of them are over. */
  #count = 0
  #over = 0
  /** Not among the others yet: often it is completed before there is another, and a map that is emptied with every message costs more than all else. */
  #youngest: Lease | undefined
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** True where the key is the caller's now. */
  claim({ scope, key, owner, leaseMs }: Holding & { readonly leaseMs: number }): boolean {
    const now = this.#now()
    const claimed: Lease = { scope, key, owner, endsAt: now + leaseMs, isOver: false }
    const lease = this.#leaseOn(claimed)
    if (lease !== undefined && lease.owner !== owner && lease.endsAt > now) return false
    if (lease !== undefined) this.#forget(lease)
    if (this.#youngest !== undefined) this.#keep(this.#youngest)
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

  #keep(lease: Lease): void {
    this.#leases.set(lease, lease)
    this.#count++
  }

  #forget(lease: Lease): void {
    if (lease === this.#youngest) {
      this.#youngest = undefined
      return
    }
    lease.isOver = true
    this.#over++
    if (this.#over <= mostOver + this.#count / 2) return
    const leases = this.#leases
    this.#leases = new ScopedKeys()
    this.#count = 0
    this.#over = 0
    for (const [, kept] of leases) if (!kept.isOver) this.#keep(kept)
  }

  #leaseOn(holding: Holding): Lease | undefined {
    const youngest = this.#youngest
    if (youngest !== undefined && youngest.key === holding.key && youngest.scope === holding.scope) return youngest
    const lease = this.#count === this.#over ? undefined : this.#leases.get(holding)
    return lease?.isOver === true ? undefined : lease
  }
}
