import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TopicPartition } from '../../src/brokers/broker.ts'
import { type GroupMember, stickyAssignment } from '../../src/brokers/sticky-assignment.ts'
import { keyOf } from './receiver.ts'

const TOPICS = ['a', 'b', 'c']

const counts = fc.record({ a: fc.nat(6), b: fc.nat(6), c: fc.nat(6) }).map(record => new Map(Object.entries(record)))

const members = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }).chain(ids =>
  fc.tuple(
    ...ids.map(id =>
      fc.record({
        id: fc.constant(id),
        topics: fc.subarray(TOPICS),
        owned: fc.array(fc.record({ topic: fc.constantFrom(...TOPICS), partition: fc.nat(7) }), { maxLength: 6 }),
        generation: fc.integer({ min: -1, max: 3 }),
      }),
    ),
  ),
)

function loadOf(assignment: ReadonlyMap<string, readonly TopicPartition[]>, id: string): number {
  return assignment.get(id)?.length ?? 0
}

describe('a sticky assignment', () => {
  test('gives every partition of a wanted topic to exactly one member that wants it', () => {
    fc.assert(
      fc.property(members, counts, (group, partitions) => {
        const assignment = stickyAssignment(group, partitions)
        const given = [...assignment.values()].flat().map(keyOf)
        const wanted = TOPICS.filter(topic => group.some(member => member.topics.includes(topic)))
        const expected = wanted.flatMap(topic =>
          Array.from({ length: partitions.get(topic) ?? 0 }, (_, partition) => keyOf({ topic, partition })),
        )
        expect(given.sort()).toEqual(expected.sort())
        for (const member of group) for (const { topic } of assignment.get(member.id) ?? []) expect(member.topics).toContain(topic)
      }),
    )
  })

  test('leaves nobody with two more than a member that could take one', () => {
    fc.assert(
      fc.property(members, counts, (group, partitions) => {
        const assignment = stickyAssignment(group, partitions)
        for (const member of group)
          for (const { topic } of assignment.get(member.id) ?? [])
            for (const other of group)
              if (other.topics.includes(topic)) expect(loadOf(assignment, member.id) - loadOf(assignment, other.id)).toBeLessThanOrEqual(1)
      }),
    )
  })

  test('does not depend on the order of the members, and moves nothing when it is applied again', () => {
    fc.assert(
      fc.property(members, counts, (group, partitions) => {
        const assignment = stickyAssignment(group, partitions)
        const again = group.map(member => ({ ...member, owned: assignment.get(member.id) ?? [], generation: 4 }))
        expect(stickyAssignment([...group].reverse(), partitions)).toEqual(assignment)
        expect(stickyAssignment(again, partitions)).toEqual(assignment)
      }),
    )
  })

  test('moves to a new member only what balance needs', () => {
    const partitions = new Map([['a', 6]])
    const a: GroupMember = { id: '1', topics: ['a'], owned: range(0, 3), generation: 1 }
    const b: GroupMember = { id: '2', topics: ['a'], owned: range(3, 6), generation: 1 }
    const assignment = stickyAssignment([a, b, { id: '3', topics: ['a'], owned: [], generation: -1 }], partitions)
    expect(a.owned).toEqual(expect.arrayContaining([...(assignment.get('1') ?? [])]))
    expect(b.owned).toEqual(expect.arrayContaining([...(assignment.get('2') ?? [])]))
    expect([...assignment.values()].map(({ length }) => length)).toEqual([2, 2, 2])
  })

  test('believes the later of two members that claim a partition', () => {
    const claim = { topics: ['a'], owned: range(0, 1) }
    const assignment = stickyAssignment(
      [
        { id: '1', ...claim, generation: 3 },
        { id: '2', ...claim, generation: 4 },
      ],
      new Map([['a', 1]]),
    )
    expect(assignment.get('2')).toEqual(range(0, 1))
  })
})

function range(from: number, to: number): TopicPartition[] {
  return Array.from({ length: to - from }, (_, index) => ({ topic: 'a', partition: from + index }))
}
