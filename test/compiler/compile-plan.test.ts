import { expect, describe as group, test } from 'vitest'
import { compileFiles, compileOne, describe, problemsOf } from './compile-files.ts'
import { scopeOf } from './scopes.ts'

const broadcast = 'actions: [{ broadcast: "user.{{data.user_id}}" }]'

group('a subscription', () => {
  test('has a default for everything but its topics', () => {
    const plan = compileOne(`topics: orders\nroutes:\n  all: { ${broadcast} }\n`)
    expect(plan).toMatchObject({
      name: 'orders',
      file: 'routes/orders.yaml',
      broker: 'local',
      group: 'shop.orders',
      topics: { names: ['orders'], patterns: [] },
      from: { kind: 'latest' },
      ordering: 'key',
      batch: { size: 100, timeoutMs: undefined },
      envelope: { kind: 'auto' },
      maxMessageBytes: 10_485_760,
      concurrency: 64,
      window: { messages: 10_000, bytes: 67_108_864 },
      unmatched: { policy: 'ignore' },
      deadLetter: { kind: 'topic', topic: undefined },
      retry: { attempts: 5, backoff: 'exponential', delayMs: 500, maxDelayMs: 30_000, jitter: 'full' },
    })
    expect(plan.routes[0]).toMatchObject({
      name: 'all',
      id: 'orders/all',
      events: [],
      when: undefined,
      schema: undefined,
      keepsResults: false,
    })
    expect(plan.routes[0]?.actions[0]).toMatchObject({ position: 0, timeoutMs: 30_000, continueOnError: false })
  })

  test('takes everything its file says', () => {
    const plan = compileOne(`
topics: [orders, { pattern: "^pay" }, orders]
broker: kafka
group: my.group
from: 2030-01-01T00:00:00Z
ordering: partition
batch: { size: 10, timeout: 1s }
envelope: { id: value.uuid, event: headers.type, data: "value.[the data]" }
maxMessage: 2mb
concurrency: 4
window: { messages: 50, bytes: 1mb }
routes:
  all: { ${broadcast} }
unmatched: dead-letter
`)
    expect(plan).toMatchObject({
      broker: 'kafka',
      group: 'my.group',
      from: { kind: 'timestamp', timestamp: Date.UTC(2030, 0, 1) },
      ordering: 'partition',
      batch: { size: 10, timeoutMs: 1_000 },
      envelope: { kind: 'mapping', id: ['value', 'uuid'], event: ['headers', 'type'], data: ['value', 'the data'] },
      maxMessageBytes: 2_097_152,
      concurrency: 4,
      window: { messages: 50, bytes: 1_048_576 },
      unmatched: { policy: 'dead-letter' },
    })
    expect(plan.topics.names).toEqual(['orders'])
    expect(plan.topics.patterns.map(pattern => pattern.source)).toEqual(['^pay'])
  })

  test('in a folder is named after its path, and its group after that with dots', () => {
    const { plan } = compileFiles({ 'routes/shop/eu/orders.yml': `topics: orders\nroutes:\n  all: { ${broadcast} }\n` })
    expect(plan.subscriptions[0]).toMatchObject({ name: 'shop/eu/orders', group: 'shop.shop.eu.orders' })
  })

  test('that is disabled is checked but not run', () => {
    const { plan, problems } = compileFiles({
      'routes/a.yaml': 'topics: orders\nenabled: false\nroutes:\n  all: { actions: [{ broadcast: "{{oops}}" }] }\n',
    })
    expect(plan.subscriptions).toEqual([])
    expect(problems.map(problem => problem.code)).toEqual(['template-root'])
  })

  test('leaves a disabled route out after checking it', () => {
    const { plan, problems } = compileFiles({
      'routes/a.yaml': `topics: orders\nroutes:\n  off: { enabled: false, event: "a.*b", ${broadcast} }\n  on: { ${broadcast} }\n`,
    })
    expect(plan.subscriptions[0]?.routes.map(route => route.name)).toEqual(['on'])
    expect(problems.map(problem => problem.code)).toEqual(['event-pattern'])
  })

  test('has a broker that exists', () => {
    const { problems } = compileFiles({ 'routes/a.yaml': `topics: orders\nbroker: kafak\nroutes:\n  all: { ${broadcast} }\n` })
    expect(problems).toMatchObject([{ code: 'broker-unknown', hint: 'Did you mean `kafka`?', range: { start: { line: 2, column: 9 } } }])
  })

  test('shares its group with no other: the second file is told where the first is', () => {
    const file = (topic: string) => `topics: ${topic}\ngroup: same\nroutes:\n  all: { ${broadcast} }\n`
    const { problems } = compileFiles({
      'routes/a.yaml': file('a'),
      'routes/b.yaml': file('b'),
      'routes/c.yaml': `topics: c\nroutes:\n  all: { ${broadcast} }\n`,
    })
    expect(problems).toMatchObject([
      {
        code: 'group-conflict',
        file: 'routes/b.yaml',
        range: { start: { line: 2, column: 8 } },
        related: [{ file: 'routes/a.yaml', range: { start: { line: 2, column: 8 } } }],
      },
    ])
  })

  test('does not conflict with a disabled one', () => {
    const file = (enabled: boolean) => `topics: a\ngroup: same\nenabled: ${enabled}\nroutes:\n  all: { ${broadcast} }\n`
    expect(compileFiles({ 'routes/a.yaml': file(true), 'routes/b.yaml': file(false) }).problems).toEqual([])
  })
})

group('topics', () => {
  test('a pattern searches anywhere in the name', () => {
    const [pattern] = compileOne(`topics: { pattern: "orders" }\nroutes:\n  all: { ${broadcast} }\n`).topics.patterns
    expect(['orders', 'eu.orders.v2', 'profiles'].map(topic => pattern?.matches(topic))).toEqual([true, true, false])
  })

  test('a pattern never matches internal or dead-letter topics, wherever in the project those are named', () => {
    const { plan } = compileFiles(
      {
        'routes/a.yaml': `topics: { pattern: "." }\ndefaults: { deadLetter: file-dead }\nroutes:\n  all: { deadLetter: route-dead, actions: [{ broadcast: x, deadLetter: action-dead }] }\n`,
        'routes/b.yaml': `topics: b\nenabled: false\nroutes:\n  all: { ${broadcast} }\nunmatched: { actions: [{ broadcast: x, deadLetter: unmatched-dead }] }\n`,
      },
      { router: { defaults: { deadLetter: 'app-dead' } } },
    )
    const [pattern] = plan.subscriptions[0]?.topics.patterns ?? []
    for (const topic of ['__consumer_offsets', 'orders.dlq', 'file-dead', 'route-dead', 'action-dead', 'unmatched-dead', 'app-dead'])
      expect(pattern?.matches(topic), topic).toBe(false)
    expect(pattern?.matches('orders')).toBe(true)
  })

  test('a dead-letter topic may be named outright', () => {
    expect(compileOne(`topics: orders.dlq\nroutes:\n  all: { ${broadcast} }\n`).topics.names).toEqual(['orders.dlq'])
  })

  test.each([
    ['"a b"', 'A topic name does not allow a space'],
    ['".."', '`..` is not a topic name'],
    ['"orders/*"', "A topic name does not allow '/'"],
    [`"${'a'.repeat(250)}"`, 'A topic name has at most 249 characters, this one has 250'],
  ])('%s is not a topic', (topic, message) => {
    expect(problemsOf(`topics: [${topic}]\nroutes:\n  all: { ${broadcast} }\n`)).toEqual([`1:10 topic-name ${message}`])
  })

  test('a pattern that is not RE2 is reported where it stands', () => {
    const [problem] = problemsOf(`topics: { pattern: "(?=a)" }\nroutes:\n  all: { ${broadcast} }\n`)
    expect(problem).toMatch(/^1:20 regex-syntax The regular expression is not valid RE2/)
  })
})

group('policies', () => {
  test('merge key by key: action over route over file over router.yaml', () => {
    const plan = compileOne(
      `
topics: orders
defaults: { retry: { delay: 2s }, deadLetter: file.dead }
routes:
  one:
    timeout: 3s
    retry: { attempts: 3 }
    actions:
      - broadcast: x
        retry: { jitter: none }
        timeout: 4s
      - broadcast: y
  two:
    deadLetter: none
    onFailure: stop
    actions: [{ broadcast: z, deadLetter: action.dead }, { broadcast: z }]
`,
      { router: { defaults: { timeout: '5s', retry: { backoff: 'fixed', maxDelay: '1m' } } } },
    )
    const [one, two] = plan.routes
    const shared = { mode: 'in-order', backoff: 'fixed', delayMs: 2_000, maxDelayMs: 60_000 }
    expect(plan.retry).toEqual({ ...shared, attempts: 5, jitter: 'full' })
    expect(one?.retry).toEqual({ ...shared, attempts: 3, jitter: 'full' })
    expect(one?.actions[0]).toMatchObject({ retry: { ...shared, attempts: 3, jitter: 'none' }, timeoutMs: 4_000 })
    expect(one?.actions[1]).toMatchObject({
      retry: { attempts: 3, jitter: 'full' },
      timeoutMs: 3_000,
      deadLetter: { kind: 'topic', topic: 'file.dead' },
    })
    expect(two?.deadLetter).toEqual({ kind: 'none', onFailure: 'stop' })
    expect(two?.actions.map(action => action.deadLetter)).toEqual([
      { kind: 'topic', topic: 'action.dead' },
      { kind: 'none', onFailure: 'stop' },
    ])
    expect(two?.actions[0]?.timeoutMs).toBe(5_000)
  })

  test('breakers merge key by key, `off` stands until somebody writes numbers, and broadcasts have none', () => {
    const breakers = (defaults: string, action: string) =>
      compileOne(`topics: orders\n${defaults}routes:\n  one:\n    actions:\n      - { emit: x${action} }\n      - broadcast: y\n`, {
        router: { defaults: { breaker: { failures: 7 } } },
      }).routes[0]?.actions.map(({ breaker }) => breaker)
    expect(breakers('', '')).toEqual([{ failures: 7, resetMs: 10_000 }, undefined])
    expect(breakers('defaults: { breaker: { reset: 2s } }\n', ', breaker: { failures: 3 }')).toEqual([
      { failures: 3, resetMs: 2_000 },
      undefined,
    ])
    expect(breakers('defaults: { breaker: off }\n', '')).toEqual([undefined, undefined])
    expect(breakers('defaults: { breaker: off }\n', ', breaker: { reset: 1s }')).toEqual([{ failures: 7, resetMs: 1_000 }, undefined])
    expect(problemsOf('topics: orders\nroutes:\n  one:\n    actions: [{ broadcast: x, breaker: off }]\n')).toEqual([
      '4:31 schema-unsupported A broadcast has no breaker: it reaches nothing that could be down',
    ])
  })

  test('deadLetter: none must say what happens instead, once where it is written', () => {
    const text = `topics: orders\nroutes:\n  one:\n    deadLetter: none\n    actions: [{ broadcast: x }, { broadcast: y }]\n`
    expect(problemsOf(text)).toEqual([
      '4:17 dead-letter-policy `deadLetter: none` needs `onFailure`: what should happen to a message that fails?',
    ])
  })

  test('deadLetter: none for the whole app must say so too', () => {
    const { problems } = compileFiles(
      { 'routes/a.yaml': `topics: a\nroutes:\n  all: { ${broadcast} }\n` },
      { router: { defaults: { deadLetter: 'none' } } },
    )
    expect(problems).toMatchObject([{ code: 'dead-letter-policy', file: 'router.yaml' }])
  })

  test('onFailure may come from above', () => {
    const plan = compileOne(`topics: orders\ndefaults: { onFailure: skip }\nroutes:\n  one: { deadLetter: none, ${broadcast} }\n`)
    expect(plan.routes[0]?.deadLetter).toEqual({ kind: 'none', onFailure: 'skip' })
  })

  test('a dead-letter topic has a legal name', () => {
    expect(problemsOf(`topics: orders\nroutes:\n  one: { deadLetter: "a{{topic}}", ${broadcast} }\n`)).toEqual([
      "3:22 topic-name A topic name does not allow '{'",
    ])
  })
})

group('unmatched', () => {
  test('has actions of its own, as a route', () => {
    const plan = compileOne(
      `topics: orders\nroutes:\n  one: { event: a, ${broadcast} }\nunmatched: { actions: [{ broadcast: "private-{{topic}}" }] }\n`,
    )
    expect(plan.unmatched).toMatchObject({
      policy: 'actions',
      route: { id: 'orders/unmatched', actions: [{ action: { summary: 'broadcast private-{{topic}}' } }] },
    })
  })

  test('is no name for a route', () => {
    expect(problemsOf(`topics: orders\nroutes:\n  unmatched: { ${broadcast} }\n`)[0]).toMatch(
      /^3:3 schema-value A route cannot be named `unmatched`/,
    )
  })
})

group('results', () => {
  const route = (actions: string) => `topics: orders\nroutes:\n  one:\n    actions:\n${actions}`
  const options = { handlers: ['handlers/receipt.ts'] }

  test('can be read by later actions of the route', () => {
    const plan = compileOne(
      route('      - { invoke: ../handlers/receipt.ts, as: receipt }\n      - broadcast: "receipt.{{results.receipt.id}}"\n'),
      options,
    )
    expect(plan.routes[0]?.keepsResults).toBe(true)
  })

  test('cannot be read before they are there', () => {
    const text = route(
      '      - broadcast: "x.{{results.receipt.id}}"\n      - { invoke: ../handlers/receipt.ts, as: receipt }\n      - broadcast: "x.{{results.reciept.id}}"\n',
    )
    const { problems } = compileFiles({ 'routes/orders.yaml': text }, options)
    expect(problems.map(describe)).toEqual([
      '5:25 results-unknown No earlier action of this route keeps its result as `receipt`',
      '7:25 results-unknown No earlier action of this route keeps its result as `reciept`',
    ])
    expect(problems[1]?.hint).toBe('Did you mean `results.receipt`?')
  })

  test('do not overwrite each other', () => {
    const text = route('      - { invoke: ../handlers/receipt.ts, as: receipt }\n      - { invoke: ../handlers/receipt.ts, as: receipt }\n')
    expect(problemsOf(text, options)).toEqual(['6:47 schema-value An earlier action of this route already keeps its result as `receipt`'])
  })
})

group('forEach', () => {
  const plan = compileOne('topics: orders\nroutes:\n  one:\n    actions: [{ forEach: data.users, broadcast: "user.{{item}}" }]\n').routes[0]
    ?.actions[0]?.forEach

  test('reads a list', () => {
    expect(plan?.path).toBe('data.users')
    expect(plan?.read(scopeOf({ data: { users: ['a', 'b'] } }))).toEqual(['a', 'b'])
  })

  test.each([
    [{}, 'data.users is missing, and forEach takes a list'],
    [{ users: 'a' }, 'data.users is a text, and forEach takes a list'],
    [{ users: Array.from({ length: 1_001 }, () => 1) }, 'data.users has 1001 elements, and forEach takes at most 1000'],
  ])('refuses what is no list of at most 1,000: %#', (data, message) => {
    expect(() => plan?.read(scopeOf({ data }))).toThrow(message)
  })

  test('item stands only beside it', () => {
    expect(problemsOf('topics: orders\nroutes:\n  one:\n    actions: [{ broadcast: "user.{{item}}" }]\n')).toEqual([
      '4:36 template-root `item` can be read only in an action with `forEach`',
    ])
  })
})

test('all problems of all files come out at once, each once', () => {
  const { problems } = compileFiles({
    'routes/a.yaml':
      'topics: "a b"\nbroker: nope\nroutes:\n  one: { event: "x*", when: { daat.x: 1 }, actions: [{ broadcast: "{{usr}} x" }] }\n',
    'routes/b.yaml':
      'topics: b\nx-shared: &shared [{ broadcast: "{{oops}}" }]\nroutes:\n  one: { actions: *shared }\n  two: { actions: *shared }\n',
  })
  expect(problems.map(problem => `${problem.file} ${problem.code}`).toSorted()).toEqual([
    'routes/a.yaml broker-unknown',
    'routes/a.yaml event-pattern',
    'routes/a.yaml template-root',
    'routes/a.yaml template-root',
    'routes/a.yaml topic-name',
    'routes/b.yaml template-root',
  ])
})

test('where the schema check has spoken the compiler is silent, and goes on with the rest', () => {
  const { problems, schemaProblems } = compileFiles({
    'routes/a.yaml':
      'topics: 7\nordering: sideways\nbatch: { size: none }\nroutes:\n  one: { event: 5, when: 3, timeout: soon, actions: [{ broadcast: 9 }, { broadcast: "{{oops}}" }, 12, { invoke: {} }] }\n  two: nothing\n  three: { actions: none }\n',
  })
  expect(schemaProblems.length).toBeGreaterThan(5)
  expect(problems.map(describe)).toEqual(['5:88 template-root `oops` is not a root'])
})
