import type { ClassicLevel } from 'classic-level'
import type { Holding } from './idempotency-store.ts'
import { KeyFilter, KeyHashes } from './key-filter.ts'

/** 8 MiB: with some 5 million keys one in 60 new ones is looked up in vain, with 20 million one in five, with far more nearly all. */
const filterBits = 2 ** 26

/** A database with more of them is looked up for every key: reading them all would take long, and help little. */
const mostKeys = 20_000_000

/** Keys that are read at a time, in about a millisecond. */
const readAtOnce = 1_000

/**
 * Which keys a database can have: nearly every key that is asked for is new, and need not be looked up. Until those have been read that were there at
 * the opening, in the background, it can have any.
 */
export class KnownKeys {
  readonly #filter = new KeyFilter(filterBits)
  readonly #hashes = new KeyHashes()
  #isWhole = false
  #closed = false
  /** Every key has been read. Never rejects: a database that cannot be read is one that can have any key. */
  readonly filled: Promise<void>

  /** To be made before anything is written. `prefix`: of the entries that are keys. */
  constructor(db: ClassicLevel, prefix: string) {
    this.filled = this.#fill(db, prefix).catch(() => {})
  }

  mayHave(key: Pick<Holding, 'scope' | 'key'>): boolean {
    return !this.#isWhole || this.#filter.mayHave(this.#hashes.of(key))
  }

  add(key: Pick<Holding, 'scope' | 'key'>): void {
    this.#filter.add(this.#hashes.of(key))
  }

  /** To be called before the database is closed. */
  close(): Promise<void> {
    this.#closed = true
    return this.filled
  }

  async #fill(db: ClassicLevel, prefix: string): Promise<void> {
    const keys = db.keys({ gte: prefix, lt: following(prefix), limit: mostKeys })
    try {
      for (let read = 0; !this.#closed && read < mostKeys; read += readAtOnce) {
        const some = await keys.nextv(readAtOnce)
        if (some.length === 0) {
          this.#isWhole = true
          return
        }
        for (const key of some) this.#filter.add(this.#hashes.ofWhole(key.slice(prefix.length)))
      }
    } finally {
      await keys.close()
    }
  }
}

/** The first text that sorts after all that begin with this one. */
function following(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}
