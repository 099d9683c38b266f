import type { Claim, Holding } from './idempotency-store.ts'

interface Lease {
  readonly owner: string
  /** On the process's monotonic clock, in ms. */
  readonly endsAt: number
}

/**
 * Claims of one process, for stores that serve one: what it works on is gone with it, so that it need not be written anywhere.
 */
export class WorkInProgress {
  readonly #leases = new Map<string, Lease>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** True where the key is the caller's now. */
  claim({ key, owner, leaseMs }: Claim): boolean {
    if (this.isHeldByOther({ key, owner })) return false
    this.#leases.set(key, { owner, endsAt: this.#now() + leaseMs })
    return true
  }

  isHeldByOther({ key, owner }: Holding): boolean {
    const lease = this.#leases.get(key)
    return lease !== undefined && lease.owner !== owner && lease.endsAt > this.#now()
  }

  isHeldBy({ key, owner }: Holding): boolean {
    const lease = this.#leases.get(key)
    return lease?.owner === owner && lease.endsAt > this.#now()
  }

  release({ key, owner }: Holding): void {
    if (this.#leases.get(key)?.owner === owner) this.#leases.delete(key)
  }

  /** The key is completed: nobody works on it any more. */
  forget(key: string): void {
    this.#leases.delete(key)
  }
}
