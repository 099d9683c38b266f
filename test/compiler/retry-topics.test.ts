import { describe, expect, test } from 'vitest'
import { compileFiles, compileOne, problemsOf } from './compile-files.ts'

const file = (retry: string, top = 'ordering: none\n') =>
  `topics: orders\n${top}routes:\n  one:\n    actions: [{ emit: audit, retry: ${retry} }]\n`

const topicsOf = (retry: string) => compileOne(file(retry)).retryTopics

describe('retry.mode: topics', () => {
  test.each([
    ['{ mode: topics }', ['500ms', '1s', '2s', '4s']],
    ['{ mode: topics, attempts: 40 }', ['500ms', '1s', '2s', '4s', '8s', '16s', '32s']],
    ['{ mode: topics, backoff: fixed, delay: 1h, maxDelay: 1h }', ['4096s']],
    ['{ mode: topics, backoff: linear, delay: 1s, attempts: 7 }', ['1s', '2s', '4s', '8s']],
    ['{ mode: topics, delay: 10ms }', ['500ms']],
    ['{ mode: topics, attempts: 1 }', []],
    ['{ attempts: 5 }', []],
  ])('%s needs a topic for each wait, rounded up to powers of two', (retry, waits) => {
    expect(topicsOf(retry).map(({ topic }) => topic)).toEqual(waits.map(wait => `shop.orders.signalbox-retry-${wait}`))
  })

  test('the topics of a file are those of all its actions, shortest wait first', () => {
    const plan = compileOne(`topics: orders
ordering: none
defaults: { retry: { mode: topics, attempts: 2, delay: 4s } }
routes:
  one: { actions: [{ emit: a, retry: { delay: 1s } }, { emit: b, retry: { mode: in-order, delay: 2s } }] }
unmatched: { actions: [{ emit: c }] }
`)
    expect(plan.retryTopics.map(({ longestMs }) => longestMs)).toEqual([1_000, 4_000])
  })

  test('a pattern never matches them, those of other groups included', () => {
    const plan = compileOne('topics: { pattern: "e" }\nroutes:\n  one: { actions: [{ broadcast: a }] }\n')
    const matched = ['orders', 'shop.orders.signalbox-retry-500ms', 'other.signalbox-retry-4096s'].filter(topic =>
      plan.topics.patterns.some(pattern => pattern.matches(topic)),
    )
    expect(matched).toEqual(['orders'])
  })

  test('is a warning, at its place, in a file that keeps an order otherwise', () => {
    const { problems } = compileFiles({ 'routes/a.yaml': file('{ mode: topics }', '') })
    expect(problems).toMatchObject([{ code: 'retry-order', severity: 'warning', range: { start: { line: 4, column: 45 } } }])
    expect(problemsOf(file('{ mode: topics }'))).toEqual([])
  })

  test("is a warning where router.yaml's defaults say it, and a file keeps an order", () => {
    const router = { defaults: { retry: { mode: 'topics' } } }
    const keeps = compileFiles({ 'routes/a.yaml': file('{}', '') }, { router }).problems
    expect(keeps).toMatchObject([{ code: 'retry-order', severity: 'warning', file: 'router.yaml' }])
    expect(compileFiles({ 'routes/a.yaml': file('{}') }, { router }).problems).toEqual([])
  })

  test('has no place under role: fanout, where the defaults of the app do not bring it either', () => {
    const fanout = (retry: string) => `topics: orders\nrole: fanout\nroutes:\n  all: { actions: [{ broadcast: a, retry: ${retry} }] }\n`
    expect(problemsOf(fanout('{ mode: topics }'))).toEqual([expect.stringContaining('fanout')])
    const { plan } = compileFiles({ 'routes/a.yaml': fanout('{}') }, { router: { defaults: { retry: { mode: 'topics' } } } })
    expect(plan.subscriptions[0]).toMatchObject({ retryTopics: [], routes: [{ actions: [{ retry: { mode: 'in-order' } }] }] })
  })

  test('needs a group whose name leaves room for the names of topics', () => {
    const { problems } = compileFiles({ 'routes/a.yaml': file('{ mode: topics }', `group: ${'g'.repeat(240)}\nordering: none\n`) })
    expect(problems).toMatchObject([{ code: 'topic-name', range: { start: { line: 2 } } }])
    expect(problems[0]?.message).toMatch(/^The group's name makes no names for retry topics: A topic name has at most 249/)
  })

  test('may take longer than an hour: no key waits for it', () => {
    expect(problemsOf(file('{ mode: topics, attempts: 200, backoff: fixed, delay: 30s }'))).toEqual([])
  })
})
