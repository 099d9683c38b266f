import type { Holding } from './idempotency-store.ts'

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
  claim({ key, owner, leaseMs }: Holding & { readonly leaseMs: number }): boolean {
    const now = this.#now()
    const lease = this.#leases.get(key)
    if (lease !== undefined && lease.owner !== owner && lease.endsAt > now) return false
    this.#leases.set(key, { owner, endsAt: now + leaseMs })
    return true
  }

  /** Who has the key, as the caller sees it. */
  holderOf(key: string, owner: string): 'caller' | 'other' | 'nobody' {
    const lease = this.#leases.get(key)
    if (lease === undefined) return 'nobody'
    if (lease.owner === owner) return 'caller'
    return lease.endsAt > this.#now() ? 'other' : 'nobody'
  }

  release({ key, owner }: Holding): void {
    if (this.#leases.get(key)?.owner === owner) this.#leases.delete(key)
  }

  /** The key is completed: nobody works on it any more. */
  forget(key: string): void {
    this.#leases.delete(key)
  }
}
