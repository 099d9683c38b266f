import type { Clock, IdempotencyPort, KeyHolding, KeyQuestion } from '../../src/engine/ports.ts'
import { MemoryStore } from '../../src/stores/memory-store.ts'

/** Scope and key in one. */
type Elsewhere = Omit<KeyHolding, 'scope'>

/** A store in virtual time that can be away, keep questions waiting, and be used by somebody else meanwhile. */
export class KeysInMemory implements IdempotencyPort {
  readonly leaseMs = 30_000
  /** Who else there is: another instance on the same store. */
  readonly store: MemoryStore
  /**
   * `sync` answers at once, `async` a little later, `slow` after 2 ms; `down` fails, `hung` after its time-out; `deaf` does what it is asked and the answer is
   * lost.
   */
  mode: 'sync' | 'async' | 'slow' | 'down' | 'hung' | 'deaf'
  readonly asked: string[] = []
  readonly #clock: Clock
  #owners = 0

  constructor(clock: Clock, mode: KeysInMemory['mode'] = 'sync') {
    const silent = () => {}
    this.#clock = clock
    this.store = new MemoryStore({ log: { debug: silent, warn: silent }, now: () => clock.monotonic() })
    this.mode = mode
  }

  nextOwner(): string {
    return `me-${++this.#owners}`
  }

  claim(question: Parameters<IdempotencyPort['claim']>[0]) {
    return this.#answer('claim', question, this.store.claim)
  }

  renew(question: Parameters<IdempotencyPort['renew']>[0]) {
    return this.#answer('renew', question, this.store.renew)
  }

  complete(question: Parameters<IdempotencyPort['complete']>[0]) {
    return this.#answer('complete', question, this.store.complete)
  }

  release(holding: KeyHolding): void {
    this.asked.push('release')
    if (!this.isAway) this.store.release(holding)
  }

  get isAway(): boolean {
    return this.mode === 'down' || this.mode === 'hung'
  }

  /** Somebody else claims the key. */
  claimElsewhere(claim: Elsewhere & { readonly leaseMs: number }) {
    return this.store.claim({ ...claim, ...apart(claim.key), answered: () => {}, failed: () => {} })
  }

  releaseElsewhere(holding: Elsewhere): void {
    this.store.release({ ...holding, ...apart(holding.key) })
  }

  /** Somebody else completes it. */
  completeElsewhere(completion: Elsewhere & { readonly ttlMs: number; readonly check: string }) {
    return this.store.complete({ ...completion, ...apart(completion.key), answered: () => {}, failed: () => {} })
  }

  #answer<Answer, Question extends KeyQuestion<Answer>>(
    what: string,
    question: Question,
    ask: (question: Question) => Answer,
  ): Answer | undefined {
    this.asked.push(what)
    const { mode } = this
    const answer = this.isAway ? undefined : ask.call(this.store, question)
    if (mode === 'sync') return answer
    const tell = () => {
      if (answer === undefined) question.failed(new Error('connection refused'))
      else if (mode === 'deaf') question.failed(new Error('timed out'))
      else question.answered(answer)
    }
    if (mode === 'slow') this.#clock.schedule(2, tell)
    else if (mode === 'hung') this.#clock.schedule(5_000, tell)
    else queueMicrotask(tell)
    return undefined
  }
}

/** Scope and key of a key as others see it. */
function apart(key: string): Pick<KeyHolding, 'scope' | 'key'> {
  const scope = key.slice(0, key.indexOf('=') + 1)
  return { scope, key: key.slice(scope.length) }
}
