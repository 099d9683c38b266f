import type { Holding } from './idempotency-store.ts'

type ScopedKey = Pick<Holding, 'scope' | 'key'>

/** A map from keys in their scopes. The key is kept as it came: putting it together with its scope would cost more than all else. */
export class ScopedKeys<Value> {
  readonly #scopes = new Map<string, Map<string, Value>>()

  get({ scope, key }: ScopedKey): Value | undefined {
    return this.#scopes.get(scope)?.get(key)
  }

  set({ scope, key }: ScopedKey, value: Value): void {
    const keys = this.#scopes.get(scope)
    if (keys === undefined) this.#scopes.set(scope, new Map([[key, value]]))
    else keys.set(key, value)
  }

  *[Symbol.iterator](): Iterator<readonly [ScopedKey, Value]> {
    for (const [scope, keys] of this.#scopes) for (const [key, value] of keys) yield [{ scope, key }, value]
  }
}
