import { expect, test } from 'vitest'
import { GroupedStore } from '../../src/stores/grouped-store.ts'
import type { GroupedBackend } from '../../src/stores/idempotency-store.ts'
import { asked } from './asked.ts'

/** A backend that notes the size of every group and answers when told to. */
function heldBackend() {
  const groups: number[] = []
  const answers: (() => void)[] = []
  const ask =
    <Answer>(answer: Answer) =>
    (asked: readonly unknown[]) => {
      groups.push(asked.length)
      return new Promise<readonly Answer[]>(resolve => answers.push(() => resolve(asked.map(() => answer))))
    }
  const backend: GroupedBackend = {
    claim: ask('claimed' as const),
    renew: ask(true),
    complete: ask(true),
    release: async holdings => void (await ask(true)(holdings)),
    close: async () => {},
  }
  return { backend, groups, answerAll: () => answers.splice(0).forEach(answer => void answer()) }
}

const claim = (index: number) => ({ key: `k${index}`, owner: 'a', leaseMs: 1000 })
const claims = (count: number, from = 0) => Array.from({ length: count }, (_, index) => claim(from + index))

test('what is asked in one turn goes in one group', async () => {
  const { backend, groups, answerAll } = heldBackend()
  const store = asked(new GroupedStore(backend))
  const answers = Promise.all(claims(100).map(one => store.claim(one)))
  await expect.poll(() => groups).toEqual([100])
  answerAll()
  expect(await answers).toHaveLength(100)
})

test('what comes while a group is under way goes with the next, without waiting for its answer for long', async () => {
  const { backend, groups, answerAll } = heldBackend()
  const store = asked(new GroupedStore(backend))
  const answers = [...claims(10).map(one => store.claim(one))]
  await expect.poll(() => groups).toEqual([10])
  answers.push(...claims(20, 10).map(one => store.claim(one)))
  // The first group has no answer, and the second goes all the same.
  await expect.poll(() => groups).toEqual([10, 20])
  answerAll()
  expect(await Promise.all(answers)).toHaveLength(30)
})

test('a large crowd goes in groups of a bounded size', async () => {
  const { backend, groups, answerAll } = heldBackend()
  const store = asked(new GroupedStore(backend))
  const answers = Promise.all(claims(1_300).map(one => store.claim(one)))
  await expect.poll(() => groups).toEqual([256, 256, 256, 256, 256, 20])
  answerAll()
  await answers
})

test('a whole group does not wait for the answer to the one before it', () => {
  const { backend, groups } = heldBackend()
  const store = asked(new GroupedStore(backend))
  for (const one of claims(300)) void store.claim(one)
  expect(groups).toEqual([256])
  for (const one of claims(300, 300)) void store.claim(one)
  expect(groups).toEqual([256, 256])
})

test('a group that fails fails each of its questions, and the next one goes on', async () => {
  const { backend } = heldBackend()
  let isAway = true
  const store = asked(
    new GroupedStore({
      ...backend,
      claim: async claims => {
        if (isAway) throw new Error('away')
        return claims.map(() => 'claimed' as const)
      },
    }),
  )
  const settled = await Promise.allSettled(claims(3).map(one => store.claim(one)))
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  isAway = false
  expect(await store.claim(claim(0))).toBe('claimed')
})

test('closing waits for what is under way, sends what waits, and refuses what comes later', async () => {
  const { backend, groups, answerAll } = heldBackend()
  const store = asked(new GroupedStore(backend))
  const completed = store.complete({ key: 'k', owner: 'a', ttlMs: 1000, check: '' })
  store.release({ key: 'other', owner: 'a' })
  const closed = store.close()
  await expect.poll(() => groups).toEqual([1, 1])
  answerAll()
  await closed
  expect(await completed).toBe(true)
  await expect(store.claim(claim(1))).rejects.toMatchObject({ code: 'closed' })
})
