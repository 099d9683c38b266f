import type { Completion, Holding } from './idempotency-store.ts'
import { ScopedKeys } from './scoped-keys.ts'

type Key = Pick<Holding, 'scope' | 'key'>

/** What is kept of a completed key: when it runs out, in ms of the store's clock, and its check where it has one. */
type Completed = number | { readonly endsAt: number; readonly check: string }

/** What an entry costs beside its key and check: the key's header and its place in the map, right after that has grown. Measured: 46 to 75. */
const entryBytes = 100

/**
 * Completed keys in memory, in two generations: when the younger one is full the older one is forgotten and the younger takes its place; what is asked for
 * moves to the younger. So the longest unused keys go first, at the cost of one map entry a key: lists that keep every key in order
 * take twice the time, most of it the garbage collector's.
 */
export class CompletedKeys {
  #young = new ScopedKeys<Completed>()
  #old = new ScopedKeys<Completed>()
  #youngBytes = 0
  readonly #generationBytes: number
  readonly #now: () => number
  /** Keys were forgotten that had not run out. */
  readonly #onForgotten: () => void

  constructor(maxBytes: number, now: () => number, onForgotten: () => void) {
    this.#generationBytes = maxBytes / 2
    this.#now = now
    this.#onForgotten = onForgotten
  }

  /** The check of a key that is completed and has not run out. */
  checkOf(key: Key): string | undefined {
    let completed = this.#young.get(key)
    const isYoung = completed !== undefined
    if (!isYoung) completed = this.#old.get(key)
    if (completed === undefined) return undefined
    if (endOf(completed) <= this.#now()) return undefined
    if (!isYoung) this.#add(key, completed)
    return typeof completed === 'number' ? '' : completed.check
  }

  add(completion: Pick<Completion, 'scope' | 'key' | 'ttlMs' | 'check'>): void {
    const { ttlMs, check } = completion
    // A whole number takes no object of its own.
    const endsAt = Math.ceil(this.#now() + ttlMs)
    this.#add(completion, check === '' ? endsAt : { endsAt, check })
  }

  clear(): void {
    this.#young = new ScopedKeys()
    this.#old = new ScopedKeys()
    this.#youngBytes = 0
  }

  #add(key: Key, completed: Completed): void {
    this.#young.set(key, completed)
    this.#youngBytes += entryBytes + key.key.length + (typeof completed === 'number' ? 0 : completed.check.length)
    if (this.#youngBytes < this.#generationBytes) return
    const forgotten = this.#old
    this.#old = this.#young
    this.#young = new ScopedKeys()
    this.#youngBytes = 0
    const now = this.#now()
    for (const [key, completed] of forgotten) {
      if (endOf(completed) <= now || this.#old.get(key) !== undefined) continue
      this.#onForgotten()
      return
    }
  }
}

function endOf(completed: Completed): number {
  return typeof completed === 'number' ? completed : completed.endsAt
}
