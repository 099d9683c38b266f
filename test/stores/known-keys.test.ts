import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { KeyFilter, KeyHashes } from '../../src/stores/key-filter.ts'
import { KnownKeys } from '../../src/stores/known-keys.ts'

const keyOf = (index: number) => ({ scope: 'group/route/=', key: `order-${index}` })
const all = Array.from({ length: 2_500 }, (_, index) => keyOf(index))

async function database(): Promise<ClassicLevel> {
  const folder = await mkdtemp(join(tmpdir(), 'signalbox-known-'))
  const db = new ClassicLevel(folder)
  onTestFinished(async () => {
    await db.close()
    await rm(folder, { recursive: true, force: true })
  })
  await db.open()
  return db
}

test('a filter never denies a key that was added, put together or not', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 })
  fc.assert(
    fc.property(fc.array(fc.record({ scope: text, key: text })), keys => {
      const filter = new KeyFilter(2 ** 16)
      const hashes = new KeyHashes()
      for (const [index, key] of keys.entries()) filter.add(index % 2 === 0 ? hashes.of(key) : hashes.ofWhole(key.scope + key.key))
      expect(keys.filter(key => !filter.mayHave(hashes.of(key)))).toEqual([])
    }),
  )
})

test('a filter with room enough denies nearly every other key', () => {
  const filter = new KeyFilter(2 ** 16)
  const hashes = new KeyHashes()
  for (const key of all) filter.add(hashes.of(key))
  expect(all.filter((_, index) => filter.mayHave(hashes.of(keyOf(1e6 + index)))).length).toBeLessThan(all.length / 20)
})

test('keys that a database had at its opening, and those added since, are never denied; others are once all have been read', async () => {
  const db = await database()
  await db.batch(all.map(({ scope, key }) => ({ type: 'put', key: `k${scope}${key}`, value: '' })))
  const known = new KnownKeys(db, 'k')
  expect(known.mayHave(keyOf(-1))).toBe(true)
  known.add(keyOf(1e9))
  await known.filled
  expect([...all, keyOf(1e9)].filter(key => !known.mayHave(key))).toEqual([])
  expect(all.filter((_, index) => known.mayHave(keyOf(1e6 + index))).length).toBeLessThan(all.length / 20)
})

test('keys are any until all have been read: closing before that ends the reading', async () => {
  const db = await database()
  await db.batch(all.map(({ scope, key }) => ({ type: 'put', key: `k${scope}${key}`, value: '' })))
  const known = new KnownKeys(db, 'k')
  await known.close()
  expect(known.mayHave(keyOf(-1))).toBe(true)
})
