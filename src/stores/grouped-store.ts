import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type GroupedBackend,
  type Holding,
  type IdempotencyStore,
  StoreError,
} from './idempotency-store.ts'
import { QuestionLane } from './question-lane.ts'

/** Asks a backend in groups. */
export class GroupedStore implements IdempotencyStore {
  readonly #backend: GroupedBackend
  readonly #claims: QuestionLane<Claim, ClaimAnswer>
  readonly #renewals: QuestionLane<Claim, boolean>
  readonly #completions: QuestionLane<Completion, boolean>
  readonly #releases: QuestionLane<Holding, unknown>
  #closed = false

  constructor(backend: GroupedBackend) {
    this.#backend = backend
    this.#claims = new QuestionLane(claims => backend.claim(claims))
    this.#renewals = new QuestionLane(claims => backend.renew(claims))
    this.#completions = new QuestionLane(completions => backend.complete(completions))
    this.#releases = new QuestionLane(holdings => backend.release(holdings))
  }

  async claim(claim: Claim): Promise<ClaimAnswer> {
    this.#refuseClosed()
    return this.#claims.add(claim)
  }

  async renew(claim: Claim): Promise<boolean> {
    this.#refuseClosed()
    return this.#renewals.add(claim)
  }

  async complete(completion: Completion): Promise<boolean> {
    this.#refuseClosed()
    return this.#completions.add(completion)
  }

  release(holding: Holding): void {
    if (this.#closed) return
    // What cannot be released ends with its lease.
    this.#releases.add(holding).catch(() => {})
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([this.#claims.flush(), this.#renewals.flush(), this.#completions.flush(), this.#releases.flush()])
    await this.#backend.close()
  }

  #refuseClosed(): void {
    if (this.#closed) throw new StoreError('closed', 'the idempotency store is closed')
  }
}
