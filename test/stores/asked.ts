import type { ClaimAnswer, Holding, IdempotencyStore } from '../../src/stores/idempotency-store.ts'

type Own = Omit<Holding, 'scope'>
type Leased = Own & { readonly leaseMs: number }
type Completed = Own & { readonly ttlMs: number; readonly check: string }

const scope = 'group/route/='

/** A store whose answers are all promises, whether they come at once or later; what it throws is a rejection. */
export interface AskedStore {
  claim(claim: Leased): Promise<ClaimAnswer>
  renew(claim: Leased): Promise<boolean>
  complete(completion: Completed): Promise<boolean>
  release(holding: Own): void
  close(): Promise<void>
}

export function asked(store: IdempotencyStore): AskedStore {
  return {
    claim: claim => answerOf((answered, failed) => store.claim({ scope, ...claim, answered, failed })),
    renew: claim => answerOf((answered, failed) => store.renew({ scope, ...claim, answered, failed })),
    complete: completion => answerOf((answered, failed) => store.complete({ scope, ...completion, answered, failed })),
    release: holding => store.release({ scope, ...holding }),
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
