/** Who works on a key: the token is made anew for every claim, so that nothing late of an earlier one counts for it. */
export interface Holding {
  /** What the key belongs to. Put together, scope and key name it; there are few scopes, and the same one is always the same text. */
  readonly scope: string
  readonly key: string
  readonly owner: string
}

/** Who asks a store, and is told what it did not answer at once: one of the two, once, never before the question has returned. Neither may throw. */
export interface Asker<Answer> {
  answered(answer: Answer): void
  /** The store could not be asked; what was asked for may have happened all the same. */
  failed(error: unknown): void
}

export interface Claim extends Holding, Asker<ClaimAnswer> {
  /** How long the claim holds without being renewed, in ms. */
  readonly leaseMs: number
}

export interface Renewal extends Holding, Asker<boolean> {
  readonly leaseMs: number
}

export interface Completion extends Holding, Asker<boolean> {
  /** How long the key is remembered as completed, in ms. */
  readonly ttlMs: number
  /** A hash of what was done under the key; empty: not to be compared. */
  readonly check: string
}

/** `claimed`: it is the caller's, also where it was already. `busy`: somebody else works on it. A map: it is completed. */
export type ClaimAnswer = 'claimed' | 'busy' | { readonly check: string }

/**
 * Keeps which keys are worked on and which are completed. A store is added as one file and one line in `stores/registry.ts`; each runs
 * the contract suite in `test/stores/store-contract.ts`. What needs no waiting is answered at once; undefined: the question itself is told
 * later, within the store's own time-out. A StoreError, thrown or told, says that the store could not be asked.
 */
export interface IdempotencyStore {
  /** Takes the key if nobody has it, or if the lease of who had it has run out. */
  claim(claim: Claim): ClaimAnswer | undefined
  /** Starts the lease anew; takes the key again where the store has forgotten it. False: somebody else has it or has completed it. */
  renew(renewal: Renewal): boolean | undefined
  /** Remembers the key as completed, unless somebody else works on it: false. True also where it is completed already. */
  complete(completion: Completion): boolean | undefined
  /** Gives the key up. Best effort: a claim that cannot be released ends with its lease. */
  release(holding: Holding): void
  /** Writes what is under way and lets go of everything. */
  close(): Promise<void>
}

/**
 * A store that is asked in groups: one round trip for everything that came together. Answers are in the order of the questions, and the
 * questions themselves are told nothing.
 */
export interface GroupedBackend {
  claim(claims: readonly Claim[]): Promise<readonly ClaimAnswer[]>
  renew(renewals: readonly Renewal[]): Promise<readonly boolean[]>
  complete(completions: readonly Completion[]): Promise<readonly boolean[]>
  release(holdings: readonly Holding[]): Promise<void>
  close(): Promise<void>
}

/** What stores say of themselves. */
export interface StoreLog {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export type StoreErrorCode =
  /** It does not answer; trying again may help. */
  | 'unavailable'
  /** Another process has it. */
  | 'in-use'
  /** It cannot be opened: rights, a damaged file. */
  | 'cannot-open'
  | 'closed'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  readonly hint: string | undefined

  constructor(code: StoreErrorCode, message: string, details: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(message, { cause: details.cause })
    this.code = code
    this.hint = details.hint
  }
}
