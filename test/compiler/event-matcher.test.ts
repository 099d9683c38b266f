import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileMatcher, eventPatternFault } from '../../src/compiler/event-matcher.ts'
import type { RoutePlan } from '../../src/compiler/plan.ts'

function route(name: string, events: readonly string[]): RoutePlan {
  const retry = { attempts: 1, backoff: 'fixed', delayMs: 0, maxDelayMs: 0, jitter: 'none', mode: 'in-order' } as const
  return {
    name,
    id: name,
    events,
    when: undefined,
    schema: undefined,
    idempotency: undefined,
    actions: [],
    deadLetter: { kind: 'topic', topic: undefined },
    retry,
    keepsResults: false,
  }
}

function names(routes: readonly RoutePlan[]): readonly string[] {
  return routes.map(({ name }) => name)
}

function matching(pattern: string, event: string): boolean {
  return compileMatcher([route('r', [pattern])])(event).length === 1
}

describe('an event pattern', () => {
  test.each([
    ['order.created', 'order.created', true],
    ['order.created', 'order.create', false],
    ['order.*', 'order.created', true],
    ['order.*', 'order', false],
    ['order.*', 'order.item.added', false],
    ['order.**', 'order.item.added', true],
    ['order.**', 'order.created', true],
    ['order.**', 'order', false],
    ['*.created', 'order.created', true],
    ['*.created', 'created', false],
    ['order.*.paid', 'order.7.paid', true],
    ['order.*.paid', 'order.7.open', false],
    ['*', 'order', true],
    ['*', 'order.created', false],
    ['**', 'order', true],
    ['**', 'order.item.added.twice', true],
    ['*.**', 'order', false],
    ['*.**', 'order.x.y', true],
    ['Order.created', 'order.created', false],
  ])('%s on %s: %s', (pattern, event, expected) => {
    expect(matching(pattern, event)).toBe(expected)
  })

  test.each([
    ['ord*', '`ord*` mixes a wildcard with text'],
    ['order.***', '`***` mixes a wildcard with text'],
    ['order..created', '`order..created` has an empty segment'],
    ['.order', '`.order` has an empty segment'],
    ['', '`` has an empty segment'],
    ['**.created', '** can only be the last segment'],
    ['**.**', '** can only be the last segment'],
  ])('%s is malformed', (pattern, message) => {
    expect(eventPatternFault(pattern)?.message).toBe(message)
  })
})

describe('the matcher', () => {
  test('gives every route that names the event, in file order, each once', () => {
    const match = compileMatcher([
      route('a', ['x.*', '**']),
      route('b', ['y']),
      route('c', []),
      route('d', ['x.y', 'x.*']),
      route('e', ['**']),
    ])
    expect(names(match('x.y'))).toEqual(['a', 'c', 'd', 'e'])
    expect(names(match('y'))).toEqual(['a', 'b', 'c', 'e'])
  })

  test('gives a message without event name only to routes that take everything', () => {
    expect(names(compileMatcher([route('a', ['**']), route('b', [])])(undefined))).toEqual(['b'])
  })

  test('gives the same frozen list each time', () => {
    const match = compileMatcher([route('a', ['x.*'])])
    expect(match('x.1')).toBe(match('x.1'))
    expect(Object.isFrozen(match('x.1'))).toBe(true)
    expect(match('nothing')).toEqual([])
  })

  test('still answers right after more names than it remembers, and for names too long to remember', () => {
    const match = compileMatcher([route('a', ['x.*']), route('b', ['x.1'])])
    const long = `x.${'y'.repeat(5_000)}`
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 3_000; n++) expect(names(match(`x.${n}`))).toEqual(n === 1 ? ['a', 'b'] : ['a'])
      expect(names(match(long))).toEqual(['a'])
    }
  })

  test('names of object properties are names like others', () => {
    const match = compileMatcher([route('a', ['constructor.*'])])
    expect(match('__proto__')).toEqual([])
    expect(names(match('constructor.toString'))).toEqual(['a'])
  })

  test('agrees with the plain reading of the patterns', () => {
    const segment = fc.constantFrom('a', 'b', 'c')
    const pattern = fc
      .tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 3 }), fc.boolean())
      .map(([segments, deep]) => [...segments, ...(deep ? ['**'] : [])].join('.'))
      .filter(text => text !== '')
    const event = fc.array(segment, { minLength: 1, maxLength: 5 }).map(segments => segments.join('.'))
    fc.assert(
      fc.property(
        fc.array(fc.array(pattern, { minLength: 1, maxLength: 3 }), { maxLength: 8 }),
        fc.array(event, { maxLength: 10 }),
        (routes, events) => {
          const match = compileMatcher(routes.map((patterns, index) => route(String(index), patterns)))
          for (const name of events) {
            const expected = routes.flatMap((patterns, index) => (patterns.some(one => plainMatch(one, name)) ? [String(index)] : []))
            expect(names(match(name))).toEqual(expected)
            expect(names(match(name))).toEqual(expected)
          }
        },
      ),
    )
  })
})

function plainMatch(pattern: string, event: string): boolean {
  const wanted = pattern.split('.')
  const given = event.split('.')
  const isDeep = wanted.at(-1) === '**'
  if (isDeep ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, index) => segment === '*' || segment === '**' || segment === given[index])
}
