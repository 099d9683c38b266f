import { expect, test } from 'vitest'
import { didYouMean } from '../../src/config/did-you-mean.ts'

const keys = ['broadcast', 'invoke', 'emit', 'when', 'with', 'as']

test.each([
  ['brodcast', 'broadcast'],
  ['Broadcast', 'broadcast'],
  ['boradcast', 'broadcast'],
  ['invokes', 'invoke'],
  ['wiht', 'with'],
  ['emti', 'emit'],
])('%s is meant to be %s', (word, meant) => {
  expect(didYouMean(word, keys)).toBe(meant)
})

test.each(['publish', 'x', '', 'xyzzy', 'broad'])('%j is nothing known', word => {
  expect(didYouMean(word, keys)).toBeUndefined()
})
