import type { ClaimAnswer, Clock, IdempotencyPort } from '../../src/engine/ports.ts'
import { MemoryStore } from '../../src/stores/memory-store.ts'

/** A store in virtual time that can be away, keep questions waiting, and be used by somebody else meanwhile. */
export class KeysInMemory implements IdempotencyPort {
  readonly leaseMs = 30_000
  /** Who else there is: another instance on the same store. */
  readonly store: MemoryStore
  /** `sync` answers at once, `async` in a promise; `down` rejects; `deaf` does what it is asked and the answer is lost. */
  mode: 'sync' | 'async' | 'down' | 'deaf'
  readonly asked: string[] = []
  #owners = 0

  constructor(clock: Clock, mode: KeysInMemory['mode'] = 'sync') {
    const silent = () => {}
    // LRUCache takes 0 for "no start".
    this.store = new MemoryStore({ log: { debug: silent, warn: silent }, now: () => clock.monotonic() + 1 })
    this.mode = mode
  }

  nextOwner(): string {
    return `me-${++this.#owners}`
  }

  claim(claim: Parameters<IdempotencyPort['claim']>[0]) {
    return this.#answer<ClaimAnswer>('claim', () => this.store.claim(claim))
  }

  renew(claim: Parameters<IdempotencyPort['renew']>[0]) {
    return this.#answer('renew', () => this.store.renew(claim))
  }

  complete(completion: Parameters<IdempotencyPort['complete']>[0]) {
    return this.#answer('complete', () => this.store.complete(completion))
  }

  release(holding: Parameters<IdempotencyPort['release']>[0]): void {
    this.asked.push('release')
    if (this.mode !== 'down') this.store.release(holding)
  }

  #answer<Answer>(what: string, ask: () => Answer): Answer | Promise<Answer> {
    this.asked.push(what)
    if (this.mode === 'down') return Promise.reject(new Error('connection refused'))
    const answer = ask()
    if (this.mode === 'deaf') return Promise.reject(new Error('timed out'))
    return this.mode === 'sync' ? answer : Promise.resolve(answer)
  }
}
