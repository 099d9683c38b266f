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

  claim(claim: Claim): Promise<ClaimAnswer> {
    return this.#closed ? refuseClosed() : this.#claims.add(claim)
  }

  renew(claim: Claim): Promise<boolean> {
    return this.#closed ? refuseClosed() : this.#renewals.add(claim)
  }

  complete(completion: Completion): Promise<boolean> {
    return this.#closed ? refuseClosed() : this.#completions.add(completion)
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
}

function refuseClosed(): Promise<never> {
  return Promise.reject(new StoreError('closed', 'the idempotency store is closed'))
}
