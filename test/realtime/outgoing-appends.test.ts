import { expect, test } from 'vitest'
import { OutgoingAppends } from '../../src/realtime/backplane/outgoing-appends.ts'
import type { Append } from '../../src/realtime/history/history.ts'
import { made } from './history-contract.ts'

test('events that wait for a slow redis are bounded, however small they are', async () => {
  const never = new Promise<never>(() => {})
  const appends = new OutgoingAppends(() => never)
  const limits = { size: 1, ttlMs: 1_000, bytes: 1_000 }
  const entry: Append = { app: 'shop', channel: 'a', ...made('e', '1'), except: undefined, limits, origin: undefined }
  let refused: unknown
  for (let n = 0; n < 100_000; n++) {
    appends.add(entry).catch((error: unknown) => {
      refused ??= error
    })
  }
  await new Promise(resolve => setImmediate(resolve))
  expect(refused).toMatchObject({ name: 'HistoryUnavailable' })
})

test('small events travel together', async () => {
  const groups: number[] = []
  const appends = new OutgoingAppends(async entries => {
    groups.push(entries.length)
    return entries.map(() => ({ epoch: 'e', serial: 1, isRepeat: false }))
  })
  const limits = { size: 1, ttlMs: 1_000, bytes: 1_000 }
  const entry: Append = { app: 'shop', channel: 'a', ...made('e', '1'), except: undefined, limits, origin: undefined }
  await Promise.all(Array.from({ length: 200 }, () => appends.add(entry)))
  expect(groups).toEqual([200])
})
