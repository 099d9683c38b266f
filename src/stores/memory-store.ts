import { LRUCache } from 'lru-cache'
import type { Claim, ClaimAnswer, Completion, Holding, IdempotencyStore, StoreLog } from './idempotency-store.ts'
import { WorkInProgress } from './work-in-progress.ts'

export interface MemoryStoreOptions {
  readonly log: StoreLog
  /** Milliseconds that only go forward. */
  readonly now?: () => number
  /** What completed keys may take up, in bytes; default: 64 MiB, some 300,000 keys. */
  readonly maxBytes?: number
}

/** What an entry costs beside its key: the key's header, the check, its places in the cache's lists. Measured with 300,000 keys. */
const entryBytes = 150

/** Keys of this process, gone when it ends. Completed keys are forgotten after their ttl, and the longest unused ones earlier when there are too many. */
export class MemoryStore implements IdempotencyStore {
  readonly #working: WorkInProgress
  readonly #completed: LRUCache<string, ClaimAnswer & object>
  #saidFull = false

  constructor({ log, now = () => performance.now(), maxBytes = 64 * 1_048_576 }: MemoryStoreOptions) {
    this.#working = new WorkInProgress(now)
    this.#completed = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ check }, key) => key.length + check.length + entryBytes,
      perf: { now },
      ttlAutopurge: false,
      // Without it the cache sets a timer at every look at the clock.
      ttlResolution: 0,
      dispose: (_value, _key, reason) => {
        if (reason !== 'evict' || this.#saidFull) return
        this.#saidFull = true
        log.warn({ maxBytes }, 'the idempotency store is full: keys are forgotten before their ttl; `store: level` or `redis` holds more')
      },
    })
  }

  claim(claim: Claim): ClaimAnswer {
    const completed = this.#completed.get(claim.key)
    if (completed !== undefined) return completed
    return this.#working.claim(claim) ? 'claimed' : 'busy'
  }

  renew(claim: Claim): boolean {
    return !this.#completed.has(claim.key) && this.#working.claim(claim)
  }

  complete(completion: Completion): boolean {
    const { key, check, ttlMs } = completion
    if (this.#completed.has(key)) return true
    if (this.#working.isHeldByOther(completion)) return false
    this.#working.forget(key)
    this.#completed.set(key, { check }, { ttl: ttlMs })
    return true
  }

  release(holding: Holding): void {
    this.#working.release(holding)
  }

  async close(): Promise<void> {
    this.#completed.clear()
  }
}
