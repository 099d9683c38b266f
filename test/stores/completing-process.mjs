// Completes key-0, key-1, ... in the folder it is given, and tells its parent how many are stored, until it is killed.
import { createJiti } from 'jiti'

const { LevelStore } = await createJiti(import.meta.url).import('../../src/stores/level-store.ts')
const store = await LevelStore.open({ folder: process.argv[2] })
const stored = key =>
  new Promise(
    (answered, failed) => void store.complete({ scope: 'group/route/=', key, owner: 'a', ttlMs: 60_000, check: '', answered, failed }),
  )
const group = 50
for (let next = 0; process.connected; next += group) {
  await Promise.all(Array.from({ length: group }, (_, index) => stored(`key-${next + index}`)))
  process.send(next + group)
}
