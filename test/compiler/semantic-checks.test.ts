import { describe, expect, test } from 'vitest'
import { type CompileOptions, compileFiles, describe as line, problemsOf } from './compile-files.ts'

const order = {
  type: 'object',
  required: ['order_id', 'user', 'maybe_null'],
  properties: {
    order_id: { type: 'integer' },
    user_id: { type: 'string' },
    status: { enum: ['open', 'paid'] },
    total: { type: 'number' },
    placed_at: { type: 'string', format: 'date-time' },
    maybe_null: { type: ['string', 'null'] },
    user: { $ref: 'user.json' },
    items: { type: 'array', items: { $ref: '#/$defs/item' } },
    extra: { type: 'object' },
    choice: { anyOf: [{ type: 'object', properties: { a: { type: 'string' } } }] },
  },
  $defs: { item: { type: 'object', required: ['sku'], additionalProperties: false, properties: { sku: { type: 'string' } } } },
}
const user = { type: 'object', required: ['name'], properties: { name: { type: 'string' } } }
const options: CompileOptions = { schemas: { 'routes/order.json': order, 'routes/user.json': user }, handlers: ['routes/h.ts'] }

/** Problems of one action in a route with the schema above, without their places. */
function ofAction(action: string, when = ''): readonly string[] {
  const text = `topics: orders\nroutes:\n  one:\n    schema: order.json\n${when}    actions:\n      - ${action}\n`
  return compileFiles({ 'routes/orders.yaml': text }, options).problems.map(({ severity, code, message, hint }) =>
    [severity, code, message, hint].join(' | '),
  )
}

describe('template paths are checked against the event’s schema', () => {
  test('a misspelt field is found, with what was meant', () => {
    expect(ofAction('broadcast: "order.{{data.ordr_id}}"')).toEqual([
      'warning | field-undeclared | routes/order.json declares no `data.ordr_id` | Did you mean `data.order_id`?',
    ])
    expect(ofAction('broadcast: "order.{{data.user.nmae}}"')).toEqual([
      'warning | field-undeclared | routes/order.json declares no `data.user.nmae` | Did you mean `data.user.name`?',
    ])
  })

  test('is an error where the schema allows no other field', () => {
    expect(ofAction('{ forEach: data.items, broadcast: "stock.{{item.skuu}}" }')).toEqual([
      'error | field-undeclared | routes/order.json declares no `item.skuu` | Did you mean `item.sku`?',
    ])
    expect(ofAction('broadcast: "order.{{data.order_id.x}}"')).toEqual([
      'error | field-undeclared | routes/order.json declares no `data.order_id.x` | `data.order_id` has no fields',
    ])
  })

  test('a name needs a value that every valid event has', () => {
    expect(ofAction('broadcast: "user.{{data.user_id}}"')[0]).toContain('warning | field-optional | `data.user_id` may be missing')
    expect(ofAction('broadcast: "user.{{data.maybe_null}}"')[0]).toContain('warning | field-optional | `data.maybe_null` may be null')
    expect(ofAction('broadcast: { channel: a, data: { text: "by {{data.user_id}}" } }')[0]).toContain('field-optional')
  })

  test.each([
    'broadcast: "order.{{data.order_id}}.{{data.user.name}}"',
    'broadcast: { channel: a, data: { user: "{{data.user_id}}" } }',
    'broadcast: { channel: a, data: { text: "by {{default data.user_id \'nobody\'}}" } }',
    'emit: { topic: t, key: "{{data.user_id}}" }',
    'broadcast: "user.{{data.extra.anything}}.{{data.choice.b}}"',
    '{ forEach: data.items, broadcast: "stock.{{item.sku}}" }',
    '{ broadcast: "user.{{data.user_id}}", when: { data.user_id: { exists: true } } }',
  ])('%s is fine', action => {
    expect(ofAction(action)).toEqual([])
  })

  test('what the route’s `when` makes sure of is not doubted', () => {
    expect(ofAction('broadcast: "user.{{data.user_id}}"', '    when: { data.user_id: { prefix: u } }\n')).toEqual([])
    expect(ofAction('broadcast: "user.{{data.user_id}}"', '    when: { data.user_id: { not: x } }\n')).toHaveLength(1)
  })

  test('an object or a list is no name', () => {
    expect(ofAction('broadcast: "user.{{data.user}}"')).toEqual([
      expect.stringContaining('error | field-type | `data.user` is an object in routes/order.json: a channel name takes'),
    ])
    expect(ofAction('broadcast: "user.{{data.items}}"')[0]).toContain('field-type | `data.items` is a list')
  })

  test('without a schema nothing is known', () => {
    expect(problemsOf('topics: orders\nroutes:\n  one:\n    actions:\n      - broadcast: "user.{{data.anything}}"\n')).toEqual([])
  })
})

describe('a condition that holds for no message', () => {
  const ofWhen = (when: string) => ofAction('broadcast: a', `    when: { ${when} }\n`)

  test.each([
    ['data.total: { gt: 10, lt: 5 }', 'error | when-never | No number passes { gt: 10, lt: 5 }'],
    ['data.total: { gte: 5, lt: 5 }', 'error | when-never'],
    ['data.total: { exists: false, gt: 5 }', 'error | when-never'],
    ['data.placed_at: { gt: "2030-01-02", lte: "2030-01-01" }', 'error | when-never | No time passes'],
    ['data.extra.at: { gt: "2030-01-02", lt: 5 }', 'error | when-never | No value passes'],
    ['data.extra.a: 5, all: [{ data.extra.a: 6 }]', 'error | when-never | No message has both `data.extra.a: 5` and `data.extra.a: 6`'],
    ['all: [{ data.extra.a: [1, 2] }, { data.extra.a: { gt: 1 } }, { data.extra.a: { lt: 2 } }]', 'error | when-never'],
    ['all: [{ data.total: { gt: 5 } }, { data.total: { gt: 1, lt: 4 } }]', 'error | when-never'],
    ['all: [{ data.extra.a: { prefix: ab } }, { data.extra.a: { prefix: ac } }]', 'error | when-never'],
    ['data.extra.a: 5, not: { data.extra.a: 5 }', 'No message has both `data.extra.a: 5` and `not: { data.extra.a: 5 }`'],
    ['data.extra.a: 5, any: [{ data.extra.a: 6 }, { data.extra.b: 1 }]', 'error | when-never'],
    ['all: [{ data.extra.a: { exists: false } }, { data.extra.a: { not: 5, gte: 1 } }]', 'error | when-never'],
    ['topic: payments', 'No message has both `topic: [orders]` and `topic: payments`'],
    ['data.status: payed', 'warning | when-never | `data.status` is never payed: the schema allows only [open, paid]'],
    ['data.status: [done, gone]', 'warning | when-never'],
    ['data.total: "100"', 'Write the number without quotes: 100'],
    ['data.user_id: { gte: 5 }', 'warning | when-never | `gte: 5` never holds for `data.user_id`'],
    ['data.total: { prefix: a }', 'warning | when-never'],
    ['data.totl: 5', 'warning | field-undeclared'],
  ])('%s', (when, expected) => {
    const problems = ofWhen(when)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(expected)
  })

  test.each([
    'data.total: { gte: 5, lte: 5 }',
    'data.status: [gone, paid]',
    'data.placed_at: { gt: "2030-01-01" }',
    'data.order_id: 5',
    'data.maybe_null: null',
    'data.items: { contains: a }',
    'data.total: { gt: { path: data.order_id } }',
    'data.user_id: { exists: false }',
    'all: [{ data.total: { gt: 1 } }, { data.total: { lt: 2 } }]',
    'all: [{ data.extra.a: [1, 2] }, { data.extra.a: [2, 3] }]',
    'any: [{ data.extra.a: 1 }, { data.extra.a: 2 }]',
    'data.extra.a: 5, not: { data.extra.a: 5, data.extra.b: 5 }',
    'all: [{ data.extra.a: { prefix: ab } }, { data.extra.a: { prefix: abc } }]',
    'data.extra.a: 5, all: [{ data.extra.a: { gt: { path: data.total } } }]',
    'data.extra.a: 5, any: [{ data.extra.b: 1 }], all: [{ data.extra.c: 6 }]',
    'topic: orders',
  ])('%s may hold', when => {
    expect(ofWhen(when)).toEqual([])
  })

  const ofEvent = (event: string, when: string, action = 'broadcast: a') =>
    problemsOf(`topics: orders\nroutes:\n  one:\n    event: ${event}\n    when: { ${when} }\n    actions: [{ ${action} }]\n`)

  test.each([
    ['order.created', 'event: order.paid'],
    ['[order.created, order.paid]', 'event: { prefix: payment }'],
    ['order.*', 'event: payment.failed'],
    ['order.**', 'event: { prefix: payment. }'],
  ])('an event that the route does not name: %s with %s', (event, when) => {
    expect(ofEvent(event, when)).toEqual([expect.stringMatching(/^5:\d+ when-never No message has both `event: /)])
  })

  test.each([
    ['order.created', 'event: order.created'],
    ['order.*', 'event: { suffix: .paid }'],
    ['[order.*, payment.*]', 'event: { prefix: payment. }'],
  ])('the event %s with %s may hold', (event, when) => {
    expect(ofEvent(event, when)).toEqual([])
  })

  test('an action’s condition against that of its route, with the place of both', () => {
    const text = 'topics: orders\nroutes:\n  one:\n    when: { data.a: 1 }\n    actions: [{ broadcast: a, when: { data.a: 2 } }]\n'
    expect(compileFiles({ 'routes/a.yaml': text }).problems).toMatchObject([
      {
        code: 'when-never',
        range: { start: { line: 5 } },
        related: [{ message: 'it says data.a: 1 here', range: { start: { line: 4 } } }],
      },
    ])
  })
})

describe('events that cannot come', () => {
  const topics = new Map([['orders', ['order.created', 'payment.*']]])
  const problems = (text: string) =>
    compileFiles({ 'routes/a.yaml': text }, { router: { topics } }).problems.map(({ severity, range, code, message, hint }) =>
      [severity, `${range?.start.line}:${range?.start.column}`, code, message, hint].join(' | '),
    )
  const file = (event: string, top = 'topics: orders', action = 'broadcast: a') =>
    `${top}\nroutes:\n  one:\n    event: ${event}\n    actions: [{ ${action} }]\n`

  test('a name that router.yaml does not list for the topic, at its own place, with what was meant', () => {
    expect(problems(file('[payment.done, order.craeted]'))).toEqual([
      'warning | 4:27 | event-undeclared | No event `order.craeted` can come: router.yaml says what orders has | Did you mean `order.created`?',
    ])
    expect(problems(file('shipment.*'))).toEqual([expect.stringContaining('Events there: order.created, payment.*')])
  })

  test('an emit of what its topic does not have', () => {
    expect(problems(file('x', 'topics: other', 'emit: { topic: orders, event: order.gone }'))).toEqual([
      expect.stringContaining('5:23 | event-undeclared | The topic orders gets `order.gone` here'),
    ])
    expect(problems(file('x', 'topics: other', 'emit: orders'))).toHaveLength(1)
  })

  test('a name where the envelope has none and the topic’s stands for it', () => {
    for (const envelope of ['raw', '{ data: value }'])
      expect(problems(file('created', `topics: bare\nenvelope: ${envelope}`))).toEqual([
        expect.stringContaining("error | 5:12 | event-undeclared | No event `created` can come: this `envelope` has no event's name"),
      ])
  })

  test.each([
    file('order.*'),
    file('"**"'),
    file('payment.failed'),
    file('anything', 'topics: other'),
    file('anything', 'topics: [orders, other]'),
    file('anything', 'topics: { pattern: ord }'),
    file('anything', 'topics: other', 'emit: { topic: orders, event: "{{data.name}}" }'),
    file('"order.*"', 'topics: other', 'emit: orders'),
    file('bare', 'topics: bare\nenvelope: raw'),
    file('created', 'topics: bare\nenvelope: { event: headers.type }'),
  ])('nothing is said of %j', text => {
    expect(problems(text)).toEqual([])
  })
})

describe('circles', () => {
  const loops = (files: Readonly<Record<string, string>>) =>
    compileFiles(files, options).problems.map(({ severity, file, message }) => `${severity} ${file} ${message}`)
  const route = (topics: string, event: string, action: string, rest = '') =>
    `topics: ${topics}\nroutes:\n  one:\n    event: ${event}\n    actions: [{ ${action} }]\n${rest}`

  test('an emit back to the route’s own topic', () => {
    expect(loops({ 'routes/a.yaml': route('orders', '"order.*"', 'emit: orders') })).toEqual([
      'error routes/a.yaml Events go round in a circle: a/one emits to orders, which a/one reads',
    ])
  })

  test('across files, each circle once, with the way round it', () => {
    const files = {
      'routes/a.yaml': route('orders', 'created', 'emit: audit'),
      'routes/b.yaml': route('audit', '"**"', 'emit: { topic: orders, event: created }'),
      'routes/c.yaml': route('audit', '"**"', 'emit: elsewhere'),
    }
    expect(loops(files)).toEqual([
      'error routes/a.yaml Events go round in a circle: a/one emits to audit, b/one emits to orders, which a/one reads',
    ])
  })

  test('a condition on the way makes it a warning', () => {
    expect(loops({ 'routes/a.yaml': route('orders', 'created', 'emit: orders, when: { headers.hops: "1" }') })[0]).toMatch(/^warning /)
  })

  test('failing events that come back', () => {
    const text = route('[orders, orders.dead]', '"*"', 'broadcast: a').replace('routes:', 'defaults: { deadLetter: orders.dead }\nroutes:')
    expect(loops({ 'routes/a.yaml': text })).toEqual([
      'warning routes/a.yaml Failing events go round in a circle: a/one dead-letters to orders.dead, which a/one reads',
    ])
  })

  test('unmatched events that are sent on to the same topic', () => {
    expect(loops({ 'routes/a.yaml': 'topics: orders\nroutes: {}\nunmatched: { actions: [{ emit: orders }] }\n' })).toHaveLength(1)
  })

  test.each([
    ['another event name', { 'routes/a.yaml': route('orders', 'created', 'emit: { topic: orders, event: audited }') }],
    ['another broker', { 'routes/a.yaml': route('orders', 'created', 'emit: { topic: orders, broker: kafka }') }],
    ['a topic that a template makes', { 'routes/a.yaml': route('orders', 'created', 'emit: "{{topic}}"') }],
    [
      'dead letters that a replayer reads',
      { 'routes/a.yaml': route('orders', 'created', 'broadcast: a'), 'routes/b.yaml': route('orders.dlq', '"*"', 'emit: archive') },
    ],
  ])('%s is none', (_, files) => {
    expect(loops(files)).toEqual([])
  })
})

test('retries that hold a key up for over an hour are a warning', () => {
  const text = (retry: string) => `topics: orders\nroutes:\n  one:\n    actions: [{ broadcast: a, retry: ${retry} }]\n`
  const problems = compileFiles({ 'routes/a.yaml': text('{ attempts: 200, backoff: fixed, delay: 30s }') }).problems
  expect(problems.map(line)).toEqual([expect.stringContaining('4:38 retry-long 200 attempts of up to 30s')])
  expect(problemsOf(text('{ attempts: 10 }'))).toEqual([])
})
