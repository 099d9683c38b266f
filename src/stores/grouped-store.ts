import {
  type Claim,
  type ClaimAnswer,
  type Completion,
  type GroupedBackend,
  type Holding,
  type IdempotencyStore,
  type Renewal,
  StoreError,
} from './idempotency-store.ts'
import { QuestionLane } from './question-lane.ts'

/** Nobody waits for it: what cannot be released ends with its lease. */
class Release implements Holding {
  readonly scope: string
  readonly key: string
  readonly owner: string

  constructor({ scope, key, owner }: Holding) {
    this.scope = scope
    this.key = key
    this.owner = owner
  }

  answered(): void {}

  failed(): void {}
}

/** Asks a backend in groups. */
export class GroupedStore implements IdempotencyStore {
  readonly #backend: GroupedBackend
  readonly #claims: QuestionLane<ClaimAnswer, Claim>
  readonly #renewals: QuestionLane<boolean, Renewal>
  readonly #completions: QuestionLane<boolean, Completion>
  readonly #releases: QuestionLane<true, Release>
  #closed = false

  constructor(backend: GroupedBackend) {
    this.#backend = backend
    this.#claims = new QuestionLane(claims => backend.claim(claims))
    this.#renewals = new QuestionLane(renewals => backend.renew(renewals))
    this.#completions = new QuestionLane(completions => backend.complete(completions))
    this.#releases = new QuestionLane(async releases => {
      await backend.release(releases)
      return releases.map(() => true)
    })
  }

  claim(claim: Claim): undefined {
    this.#refuseClosed()
    this.#claims.add(claim)
  }

  renew(renewal: Renewal): undefined {
    this.#refuseClosed()
    this.#renewals.add(renewal)
  }

  complete(completion: Completion): undefined {
    this.#refuseClosed()
    this.#completions.add(completion)
  }

  release(holding: Holding): void {
    if (!this.#closed) this.#releases.add(new Release(holding))
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
