import { CompletedKeys } from './completed-keys.ts'
import type { Claim, ClaimAnswer, Completion, Holding, IdempotencyStore, Renewal, StoreLog } from './idempotency-store.ts'
import { WorkInProgress } from './work-in-progress.ts'

export interface MemoryStoreOptions {
  readonly log: StoreLog
  /** Milliseconds that only go forward. */
  readonly now?: () => number
  /** What completed keys may take up, in bytes; default: 64 MiB, some 300,000 keys. */
  readonly maxBytes?: number
}

/** Keys of this process, gone when it ends. Completed keys are forgotten after their ttl, and the longest unused ones earlier when there are too many. */
export class MemoryStore implements IdempotencyStore {
  readonly #working: WorkInProgress
  readonly #completed: CompletedKeys

  constructor({ log, now = () => performance.now(), maxBytes = 64 * 1_048_576 }: MemoryStoreOptions) {
    this.#working = new WorkInProgress(now)
    let saidFull = false
    this.#completed = new CompletedKeys(maxBytes, now, () => {
      if (saidFull) return
      saidFull = true
      log.warn({ maxBytes }, 'the idempotency store is full: keys are forgotten before their ttl; `store: level` or `redis` holds more')
    })
  }

  claim(claim: Claim): ClaimAnswer {
    const check = this.#completed.checkOf(claim)
    if (check !== undefined) return { check }
    return this.#working.claim(claim) ? 'claimed' : 'busy'
  }

  renew(renewal: Renewal): boolean {
    return this.#completed.checkOf(renewal) === undefined && this.#working.claim(renewal)
  }

  complete(completion: Completion): boolean {
    const holder = this.#working.holderOf(completion)
    // Nobody can have completed a key that the caller holds.
    if (holder !== 'caller') {
      if (this.#completed.checkOf(completion) !== undefined) return true
      if (holder === 'other') return false
    }
    this.#working.forget(completion)
    this.#completed.add(completion)
    return true
  }

  release(holding: Holding): void {
    this.#working.release(holding)
  }

  async close(): Promise<void> {
    this.#completed.clear()
  }
}
