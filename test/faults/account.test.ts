import { describe, expect, test } from 'vitest'
import { type Account, account, type Evidence } from './account.ts'
import type { DeadLetter } from './dead-letters.ts'
import type { Handling } from './handler-log.ts'
import { type Fate, type Sent, step } from './sender.ts'

function sent(id: string, fate: Fate = 'done'): Sent {
  const place = { id, key: 'k', sequence: 0 }
  return { ...place, ...step(place, fate), writtenAt: 0 }
}

function handled(id: string, offset = 0): Handling {
  return { id, key: 'k', partition: 0, offset, phase: 'end', attempt: 1, pid: 1, at: 0, note: '' }
}

const output = (of: string, event = 'done') => ({ of, event, note: '' })
const letter = ({ id, key, value }: Sent): DeadLetter => ({ of: id, key, value, origin: '0/0', headers: {} })

function accountOf(evidence: Partial<Evidence>): Account {
  return account({ sent: [], handlings: [], letters: [], outputs: [], begins: false, uncommitted: 0, ...evidence })
}

describe('the account of a fault', () => {
  test('each message is in one column: done, dead-lettered, filtered or lost', () => {
    const [done, failed, filtered, lost] = [sent('a'), sent('b', 'failed'), sent('c', 'filtered'), sent('d')]
    const evidence = { handlings: [handled('a')], letters: [letter(failed)], outputs: [output('a')] }
    expect(accountOf({ sent: [done, failed, filtered, lost], ...evidence })).toMatchObject({
      acknowledged: 4,
      done: 1,
      deadLettered: 1,
      filtered: 1,
      lost: ['d'],
      wrong: [],
      outputs: 1,
    })
  })

  test('handled without its output is lost, and so is what is to be filtered while its offset is not committed', () => {
    expect(accountOf({ sent: [sent('a')], handlings: [handled('a')] }).lost).toEqual(['a'])
    expect(accountOf({ sent: [sent('b', 'filtered')], uncommitted: 1 }).lost).toEqual(['b'])
  })

  test.each<[string, Sent, Partial<Evidence>]>([
    ['done, not filtered', sent('a', 'filtered'), { handlings: [handled('a')], outputs: [output('a')] }],
    ['dead-lettered, not done', sent('a'), { letters: [letter(sent('a'))] }],
    ['dead-lettered and done', sent('a', 'failed'), { letters: [letter(sent('a'))], outputs: [output('a')] }],
    ['a dead letter with another key or value', sent('a', 'refused'), { letters: [{ ...letter(sent('a')), value: null }] }],
    [
      'with an output of a first action',
      sent('a', 'refused'),
      { begins: true, letters: [letter(sent('a'))], outputs: [output('a', 'begun')] },
    ],
    ['without the output of its first action', sent('a', 'failed'), { begins: true, letters: [letter(sent('a'))] }],
  ])('%s is wrong', (fault, message, evidence) => {
    expect(accountOf({ sent: [message], ...evidence }).wrong).toEqual([`a: ${fault}`])
  })

  test('what belongs to no message is wrong', () => {
    expect(accountOf({ outputs: [output('x')] }).wrong).toEqual(['x was not sent'])
  })

  test('a record handled twice is a duplicate, one handled late is reordered, and an output too many is repeated', () => {
    const handlings = [handled('b', 1), handled('a', 0), handled('a', 0)]
    const result = accountOf({ sent: [sent('a'), sent('b')], handlings, outputs: [output('a'), output('b'), output('b')] })
    expect(result.duplicates.map(({ again }) => again.id)).toEqual(['a'])
    expect(result.reordered.map(({ id }) => id)).toEqual(['a'])
    expect(result.repeated).toEqual(['b: 2 outputs of 1 handlings'])
  })
})
