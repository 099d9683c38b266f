import type { Completion, Holding } from './idempotency-store.ts'
import { KeyFilter, KeyHashes } from './key-filter.ts'
import { ScopedKeys } from './scoped-keys.ts'

type Key = Pick<Holding, 'scope' | 'key'>

/** What is kept of a completed key: when it runs out, in ms of the store's clock, and its check where it has one. */
type Completed = number | { readonly endsAt: number; readonly check: string }

/** What an entry costs beside its key and check: the key's header and its place in the map, right after that has grown. Measured: 46 to 75. */
const entryBytes = 100

/** Keys in one map of a generation: what a processor's cache holds. Adding to a map of hundreds of thousands takes twice the time. */
const mostInPart = 32_768

/** Keys that were completed in one stretch of time. Most that are asked for are new, and no map is asked for them: that costs many times what the filter does. */
class Generation {
  bytes = 0
  /** In the order of time. */
  readonly #parts: ScopedKeys<Completed>[] = []
  /** In the last part. */
  #inPart = mostInPart
  readonly #filter: KeyFilter

  constructor(maxBytes: number) {
    this.#filter = new KeyFilter(Math.max(32, 2 ** Math.ceil(Math.log2((16 * maxBytes) / entryBytes))))
  }

  /** `hash`: the key's. */
  get(key: Key, hash: number): Completed | undefined {
    if (!this.#filter.mayHave(hash)) return undefined
    for (let index = this.#parts.length - 1; index >= 0; index--) {
      const completed = this.#parts[index]?.get(key)
      if (completed !== undefined) return completed
    }
    return undefined
  }

  set(key: Key, hash: number, completed: Completed): void {
    this.#filter.add(hash)
    if (this.#inPart >= mostInPart) {
      this.#parts.push(new ScopedKeys())
      this.#inPart = 0
    }
    this.#parts.at(-1)?.set(key, completed)
    this.#inPart++
    this.bytes += entryBytes + key.key.length + (typeof completed === 'number' ? 0 : completed.check.length)
  }

  *entries(): Iterable<readonly [Key, Completed]> {
    for (const part of this.#parts) yield* part
  }
}

/**
 * Completed keys in memory, in two generations: when the younger one is full the older one is forgotten and the younger takes its place; what is asked for
 * moves to the younger. So the longest unused keys go first, at the cost of one map entry a key: lists that keep every key in order
 * take twice the time, most of it the garbage collector's.
 */
export class CompletedKeys {
  #young: Generation
  #old: Generation
  readonly #hashes = new KeyHashes()
  readonly #generationBytes: number
  readonly #now: () => number
  /** Keys were forgotten that had not run out. */
  readonly #onForgotten: () => void

  constructor(maxBytes: number, now: () => number, onForgotten: () => void) {
    this.#generationBytes = maxBytes / 2
    this.#now = now
    this.#onForgotten = onForgotten
    this.#young = new Generation(this.#generationBytes)
    this.#old = new Generation(0)
  }

  /** The check of a key that is completed and has not run out. */
  checkOf(key: Key): string | undefined {
    const hash = this.#hashes.of(key)
    let completed = this.#young.get(key, hash)
    const isYoung = completed !== undefined
    if (!isYoung) completed = this.#old.get(key, hash)
    if (completed === undefined) return undefined
    if (endOf(completed) <= this.#now()) return undefined
    if (!isYoung) this.#add(key, hash, completed)
    return typeof completed === 'number' ? '' : completed.check
  }

  add(completion: Pick<Completion, 'scope' | 'key' | 'ttlMs' | 'check'>): void {
    const { ttlMs, check } = completion
    // A whole number takes no object of its own.
    const endsAt = Math.ceil(this.#now() + ttlMs)
    this.#add(completion, this.#hashes.of(completion), check === '' ? endsAt : { endsAt, check })
  }

  clear(): void {
    this.#young = new Generation(this.#generationBytes)
    this.#old = new Generation(0)
  }

  #add(key: Key, hash: number, completed: Completed): void {
    this.#young.set(key, hash, completed)
    if (this.#young.bytes < this.#generationBytes) return
    const forgotten = this.#old
    this.#old = this.#young
    this.#young = new Generation(this.#generationBytes)
    const now = this.#now()
    for (const [key, completed] of forgotten.entries()) {
      if (endOf(completed) <= now || this.#old.get(key, this.#hashes.of(key)) !== undefined) continue
      this.#onForgotten()
      return
    }
  }
}

function endOf(completed: Completed): number {
  return typeof completed === 'number' ? completed : completed.endsAt
}
