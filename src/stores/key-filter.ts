import type { Holding } from './idempotency-store.ts'

/**
 * Tells of most keys that they were never added, out of few bytes (a Bloom filter with two bits a key). Whoever picks keys that look alike to it
 * only makes it useless for them: then it is asked in vain.
 */
export class KeyFilter {
  readonly #words: Int32Array
  /** Of the bits, whose number is a power of two. */
  readonly #mask: number
  /** The scope that was asked for last, and its hash: there are few. */
  #scope = ''
  #scopeHash = seed

  /** `size`: a power of two, from 32. */
  constructor(size: number) {
    this.#words = new Int32Array(size / 32)
    this.#mask = size - 1
  }

  /** False: it was never added. */
  mayHave(key: Pick<Holding, 'scope' | 'key'>): boolean {
    const first = this.#hashOf(key)
    if (!this.#has(first)) return false
    return this.#has(secondOf(first))
  }

  add(key: Pick<Holding, 'scope' | 'key'>): void {
    this.#addHash(this.#hashOf(key))
  }

  /** Scope and key in one text. */
  addWhole(text: string): void {
    this.#addHash(mixed(hashed(seed, text)))
  }

  #addHash(first: number): void {
    this.#set(first)
    this.#set(secondOf(first))
  }

  #hashOf({ scope, key }: Pick<Holding, 'scope' | 'key'>): number {
    if (scope !== this.#scope) {
      this.#scope = scope
      this.#scopeHash = hashed(seed, scope)
    }
    return mixed(hashed(this.#scopeHash, key))
  }

  #has(hash: number): boolean {
    const bit = hash & this.#mask
    return ((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0
  }

  #set(hash: number): void {
    const bit = hash & this.#mask
    const at = bit >>> 5
    this.#words[at] = (this.#words[at] ?? 0) | (1 << (bit & 31))
  }
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

function secondOf(first: number): number {
  return mixed(first ^ 0x9e3779b9)
}
