import { expect, describe as group, test } from 'vitest'
import { compileFiles, compileOne, problemsOf } from './compile-files.ts'

const broadcasting = 'topics: orders\nrole: fanout\nroutes:\n  all: { actions: [{ broadcast: news }] }\n'

group('role: fanout', () => {
  test('is work unless a file says otherwise', () => {
    expect(compileOne('topics: orders\nroutes: { all: { actions: [{ broadcast: news }] } }\n').role).toBe('work')
    expect(compileOne(broadcasting).role).toBe('fanout')
  })

  test('counts bad messages instead of dead-lettering them, whatever the app says', () => {
    const app = compileFiles({ 'routes/orders.yaml': broadcasting }).plan.subscriptions[0]
    const router = compileFiles(
      { 'routes/orders.yaml': `${broadcasting}unmatched: { actions: [{ broadcast: other }] }\n` },
      { router: { defaults: { deadLetter: 'app.dlq' } } },
    ).plan.subscriptions[0]
    const counted = { kind: 'none', onFailure: 'skip' }
    for (const plan of [app, router]) {
      expect(plan?.deadLetter).toEqual(counted)
      expect(plan?.routes[0]).toMatchObject({ deadLetter: counted, actions: [{ deadLetter: counted }] })
    }
    expect(router?.unmatched).toMatchObject({ route: { deadLetter: counted, actions: [{ deadLetter: counted }] } })
  })

  test('two files of it need no groups of their own', () => {
    const { problems } = compileFiles({ 'routes/a.yaml': broadcasting, 'routes/a/b.yaml': broadcasting, 'routes/a.b.yaml': broadcasting })
    expect(problems).toEqual([])
  })

  test.each([
    ['group: mine', 'group', 'in a group of its own'],
    ['defaults: { deadLetter: x.dlq }', 'deadLetter', 'bad messages are counted'],
    ['defaults: { onFailure: stop }', 'onFailure', 'bad messages are counted'],
    ['unmatched: dead-letter', 'dead-letter', 'every instance would write'],
    ['unmatched: { actions: [{ emit: audit }] }', 'emit', 'only broadcasts'],
  ])('refuses `%s` at its place', (line, word, reason) => {
    const problems = problemsOf(`${broadcasting}${line}\n`)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('fanout')
    const { problems: located } = compileFiles({ 'routes/orders.yaml': `${broadcasting}${line}\n` })
    expect(located[0]).toMatchObject({ code: 'fanout', severity: 'error', range: { start: { line: 5 } } })
    expect(located[0]?.message).toContain(word)
    expect(located[0]?.message).toContain(reason)
  })

  test('refuses handlers and emits of its routes', () => {
    const text = `topics: orders
role: fanout
routes:
  all:
    actions:
      - broadcast: news
      - invoke: ../handlers/a.ts
      - emit: audit
`
    const { problems } = compileFiles({ 'routes/orders.yaml': text }, { handlers: ['handlers/a.ts'] })
    expect(problems.map(({ code, range }) => `${code} ${range?.start.line}`)).toEqual(['fanout 7', 'fanout 8'])
  })
})
