import type { ClaimAnswer, Holding, IdempotencyStore } from '../../src/stores/idempotency-store.ts'

type Leased = Holding & { readonly leaseMs: number }
type Completed = Holding & { readonly ttlMs: number; readonly check: string }

/** A store whose answers are all promises, whether they come at once or later; what it throws is a rejection. */
export interface AskedStore {
  claim(claim: Leased): Promise<ClaimAnswer>
  renew(claim: Leased): Promise<boolean>
  complete(completion: Completed): Promise<boolean>
  release(holding: Holding): void
  close(): Promise<void>
}

export function asked(store: IdempotencyStore): AskedStore {
  return {
    claim: claim => answerOf((answered, failed) => store.claim({ ...claim, answered, failed })),
    renew: claim => answerOf((answered, failed) => store.renew({ ...claim, answered, failed })),
    complete: completion => answerOf((answered, failed) => store.complete({ ...completion, answered, failed })),
    release: holding => store.release(holding),
    close: () => store.close(),
  }
}

function answerOf<Answer>(
  ask: (answered: (answer: Answer) => void, failed: (error: unknown) => void) => Answer | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const answer = ask(resolve, reject)
    if (answer !== undefined) resolve(answer)
  })
}
