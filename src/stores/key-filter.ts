import type { Holding } from './idempotency-store.ts'

type Key = Pick<Holding, 'scope' | 'key'>

/** Hashes of keys. There are few scopes: that of the last one is kept. */
export class KeyHashes {
  #scope = ''
  #scopeHash = seed

  of({ scope, key }: Key): number {
    if (scope !== this.#scope) {
      this.#scope = scope
      this.#scopeHash = hashed(seed, scope)
    }
    return mixed(hashed(this.#scopeHash, key))
  }

  /** Of scope and key in one text. */
  ofWhole(text: string): number {
    return mixed(hashed(seed, text))
  }
}

/**
 * Tells of most keys that they were never added, out of few bytes: a Bloom filter with three bits a key, all in one word, so that a look costs one access to
 * memory. Whoever picks keys that look alike to it only makes it useless for them: then it is asked in vain.
 */
export class KeyFilter {
  readonly #words: Int32Array
  /** Of the words, whose number is a power of two. */
  readonly #mask: number

  /** `bits`: a power of two, from 32. */
  constructor(bits: number) {
    this.#words = new Int32Array(bits / 32)
    this.#mask = this.#words.length - 1
  }

  /** False: it was never added. */
  mayHave(hash: number): boolean {
    const bits = bitsOf(hash)
    return ((this.#words[hash & this.#mask] ?? 0) & bits) === bits
  }

  add(hash: number): void {
    const at = hash & this.#mask
    this.#words[at] = (this.#words[at] ?? 0) | bitsOf(hash)
  }
}

function bitsOf(hash: number): number {
  const bits = mixed(hash ^ 0x9e3779b9)
  return (1 << (bits & 31)) | (1 << ((bits >>> 5) & 31)) | (1 << ((bits >>> 10) & 31))
}

/** FNV-1a, by UTF-16 unit. */
const seed = 0x811c9dc5

function hashed(from: number, text: string): number {
  let hash = from
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  return hash
}

/** Spreads what differs in the last characters alone over all bits; the steps are MurmurHash3's. */
function mixed(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}
