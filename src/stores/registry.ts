import { resolve } from 'node:path'
import type { IdempotencyConfig } from '../config/router-config.ts'
import { GroupedStore } from './grouped-store.ts'
import type { IdempotencyStore, StoreLog } from './idempotency-store.ts'
import { LevelStore } from './level-store.ts'
import { MemoryStore } from './memory-store.ts'
import { RedisStore } from './redis-store.ts'

/** Opens the store of router.yaml's `idempotency`. Rejects with a StoreError; a Redis that cannot be reached yet is waited for. */
export async function openStore(config: IdempotencyConfig, root: string, log: StoreLog): Promise<IdempotencyStore> {
  switch (config.store) {
    case 'memory':
      return new MemoryStore({ log })
    case 'level':
      return LevelStore.open({ folder: resolve(root, config.path) })
    case 'redis':
      return new GroupedStore(await RedisStore.open({ url: config.url, log }))
  }
}
