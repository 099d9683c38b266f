import { describe, expect, test } from 'vitest'
import type { SourceRecord } from '../../src/compiler/plan.ts'
import { type ExplainOptions, explainMessage, explanationJson, hasRenderErrors } from '../../src/engine/explain.ts'
import { formatExplanation } from '../../src/testing/format-explanation.ts'
import { type CompileOptions, compileFiles } from '../compiler/compile-files.ts'
import { envelope, record } from './plan-builders.ts'

const shop = `
topics: [orders]
defaults: { retry: { attempts: 3, delay: 100ms, jitter: none }, timeout: 5s, deadLetter: orders.dlq }
routes:
  created:
    event: order.created
    actions:
      - invoke: receipt.ts
        as: receipt
      - broadcast:
          channel: "private-user.{{data.user_id}}"
          event: order.confirmed
          data: { order: "{{data.order_id}}", receipt: "{{results.receipt.url}}" }
      - emit: { topic: audit, key: "{{key}}", data: "{{data}}" }
  large:
    event: order.*
    when:
      data.total: { gte: 100 }
      data.status: [paid, shipped]
    actions:
      - broadcast: sales
`

function explain(files: Readonly<Record<string, string>>, message: SourceRecord, options: ExplainOptions & CompileOptions = {}) {
  const compiled = compileFiles(files, { handlers: ['routes/receipt.ts'], ...options })
  expect([...compiled.schemaProblems, ...compiled.problems].filter(({ severity }) => severity === 'error')).toEqual([])
  return explainMessage(compiled.plan.subscriptions, message, options)
}

/** What programs get, after the JSON that they get it as. */
function answer(...args: Parameters<typeof explain>) {
  return JSON.parse(JSON.stringify(explanationJson(explain(...args))))
}

const created = (data: unknown) => record({ key: '42', value: envelope('order.created', data) })

describe('explain', () => {
  test('shows what each action would send, and names a handler’s result that is not known', () => {
    expect(answer({ 'routes/shop.yaml': shop }, created({ order_id: 42, user_id: 7, total: 5 }))).toEqual({
      routes: [
        {
          route: 'shop/created',
          matched: true,
          why: '',
          actions: [
            { action: 'invoke', handler: 'routes/receipt.ts' },
            {
              action: 'broadcast',
              channel: 'private-user.7',
              event: 'order.confirmed',
              data: { order: 42, receipt: '<results.receipt.url>' },
            },
            { action: 'emit', topic: 'audit', key: '42', event: 'order.created', data: { order_id: 42, user_id: 7, total: 5 } },
          ],
          idempotencyKey: null,
        },
        {
          route: 'shop/large',
          matched: false,
          why: '`when` does not hold at `data.total: { gte: 100 }`: `data.total` is 5',
          actions: [],
          idempotencyKey: null,
        },
      ],
      unmatched: null,
    })
  })

  test('takes a mock for the handler’s result', () => {
    const mocks = new Map([['routes/receipt.ts', { url: '/r/42' }]])
    const { routes } = answer({ 'routes/shop.yaml': shop }, created({ order_id: 42, user_id: 7 }), { mocks })
    expect(routes[0].actions[1].data.receipt).toBe('/r/42')
  })

  test('names the first condition that fails, in the order they are written', () => {
    const { routes } = answer({ 'routes/shop.yaml': shop }, created({ user_id: 7, total: 100 }))
    expect(routes[1].why).toBe('`when` does not hold at `data.status: [paid, shipped]`: `data.status` is missing')
  })

  test.each([
    ['{ any: [{ data.a: 1 }, { data.b: 2 }] }', '`when` does not hold at `any: [{ data.a: 1 }, { data.b: 2 }]`'],
    ['{ all: [{ data.a: 9 }, { data.b: 2 }] }', '`when` does not hold at `data.b: 2`: `data.b` is {"deep":true}'],
    ['{ not: { data.a: 9 } }', '`when` does not hold at `not: { data.a: 9 }`'],
    ['{ data.a: "9" }', '`when` does not hold at `data.a: "9"`: `data.a` is 9'],
    ['{ data.c: { exists: true } }', '`when` does not hold at `data.c: { exists: true }`: `data.c` is missing'],
  ])('says why %s does not hold', (when, why) => {
    const file = `topics: orders\nroutes:\n  one:\n    when: ${when}\n    actions: [{ broadcast: news }]\n`
    expect(answer({ 'routes/a.yaml': file }, created({ a: 9, b: { deep: true } })).routes[0].why).toBe(why)
  })

  test('an action that cannot be rendered says so; those after it are shown', () => {
    const explanation = explain({ 'routes/shop.yaml': shop }, created({ order_id: 42 }))
    const [route] = JSON.parse(JSON.stringify(explanationJson(explanation))).routes
    expect(route.actions[1]).toEqual({ action: 'broadcast', error: 'data.user_id is missing' })
    expect(route.actions[2]).toMatchObject({ action: 'emit', topic: 'audit' })
    expect(hasRenderErrors(explanation)).toBe(true)
  })

  test('a channel made of what a handler returns is shown with what is not known', () => {
    const file = shop.replace('private-user.{{data.user_id}}', 'private-{{lower results.receipt.owner}}.{{data.user_id}}')
    expect(answer({ 'routes/shop.yaml': file }, created({ user_id: 7 })).routes[0].actions[1].channel).toBe(
      'private-<results.receipt.owner>.7',
    )
  })

  test('what is not broadcast is skipped; an emit goes on', () => {
    const { routes } = answer({ 'routes/shop.yaml': shop }, created(null))
    expect(routes[0].actions).toEqual([
      { action: 'invoke', handler: 'routes/receipt.ts' },
      { action: 'broadcast', skipped: true, why: 'the data is null or missing' },
      { action: 'emit', topic: 'audit', key: '42', event: 'order.created', data: null },
    ])
  })

  test('channels and forEach give one entry for each thing sent', () => {
    const file = `topics: orders\nroutes:\n  one:\n    actions:\n      - broadcast: { channels: [a, "b.{{data.id}}"] }\n      - forEach: data.list\n        broadcast: "item.{{item}}"\n`
    const { routes } = answer({ 'routes/a.yaml': file }, created({ id: 1, list: ['x', 'y'] }))
    expect(routes[0].actions.map(({ channel }: { channel: string }) => channel)).toEqual(['a', 'b.1', 'item.x', 'item.y'])
  })

  test('an action’s own `when` leaves it out, and one that depends on a result does not', () => {
    const file = `topics: orders\nroutes:\n  one:\n    actions:\n      - invoke: receipt.ts\n        as: r\n      - broadcast: a\n        when: { data.x: 1 }\n      - broadcast: b\n        when: { results.r.ok: true }\n`
    const { routes } = answer({ 'routes/a.yaml': file }, created({ x: 2 }))
    expect(routes[0].actions[1]).toEqual({
      action: 'broadcast',
      skipped: true,
      why: '`when` does not hold at `data.x: 1`: `data.x` is 2',
    })
    expect(routes[0].actions[2]).toMatchObject({ action: 'broadcast', channel: 'b' })
  })

  test('every subscription on the topic answers, by name or by pattern, and no other', () => {
    const route = 'routes: { all: { actions: [{ broadcast: news }] } }\n'
    const files = {
      'routes/a.yaml': `topics: orders\n${route}`,
      'routes/b.yaml': `topics: { pattern: "^ord" }\n${route}`,
      'routes/c.yaml': `topics: payments\n${route}`,
    }
    expect(answer(files, created({})).routes.map(({ route: id }: { route: string }) => id)).toEqual(['a/all', 'b/all'])
  })

  test('says what becomes of an event that no route names', () => {
    const file = (unmatched: string) => ({ 'routes/shop.yaml': `${shop}unmatched: ${unmatched}\n` })
    const other = record({ value: envelope('cart.left', { a: 1 }) })
    expect(answer(file('ignore'), other).unmatched).toEqual({ policy: 'ignore', actions: [] })
    expect(answer(file('dead-letter'), other).unmatched).toEqual({ policy: 'dead-letter', actions: [] })
    expect(answer(file('{ actions: [{ broadcast: "private-{{topic}}" }] }'), other).unmatched).toEqual({
      policy: 'actions',
      actions: [{ action: 'broadcast', channel: 'private-orders', event: 'cart.left', data: { a: 1 } }],
    })
    expect(answer(file('ignore'), other).routes[0].why).toBe('the event is `cart.left`, not `order.created`')
    expect(answer(file('ignore'), record({ value: '{"user_id": 7}' })).routes[0].why).toBe(
      "the event is `orders`, the topic's name, which stands for that of a message without `event`, not `order.created`",
    )
  })

  test('a message that cannot be decoded matches nothing and says why', () => {
    const { routes, unmatched } = answer({ 'routes/shop.yaml': shop }, record({ value: '{"event": ' }))
    expect(routes[0]).toMatchObject({ matched: false, why: expect.stringContaining('not-json') })
    expect(unmatched).toBeNull()
    const large = answer({ 'routes/shop.yaml': `maxMessage: 5b\n${shop}` }, record({ value: '"large"' }))
    expect(large.routes[0]).toMatchObject({ matched: false, why: expect.stringContaining('too-large') })
  })

  test('data that fails its schema is not routed', () => {
    const file = 'topics: orders\nroutes:\n  one:\n    schema: s.json\n    actions: [{ broadcast: news }]\n'
    const schemas = { 'routes/s.json': { type: 'object', required: ['total'] } }
    expect(answer({ 'routes/a.yaml': file }, created({}), { schemas }).routes[0]).toMatchObject({
      matched: false,
      why: expect.stringContaining("must have required property 'total'"),
    })
  })

  test('for people it shows outputs, reasons and the retry plan', () => {
    const printed = formatExplanation(explain({ 'routes/shop.yaml': shop }, created({ user_id: 7, total: 5 })), { color: false })
    expect(printed).toContain('✓ shop/created\n    1 invoke routes/receipt.ts\n    2 broadcast private-user.7  event: order.confirmed\n')
    expect(printed).toContain('each action: 3 attempts of 5s, waiting 100ms, 200ms; then to orders.dlq')
    const inTopics = shop.replace('jitter: none', 'jitter: none, mode: topics')
    expect(formatExplanation(explain({ 'routes/shop.yaml': inTopics }, created({ user_id: 7 })), { color: false })).toContain(
      'each action: 3 attempts of 5s, waiting in retry topics 100ms, 200ms; then to orders.dlq',
    )
    expect(printed).toContain('✗ shop/large\n    `when` does not hold')
    expect(printed).toMatch(/1 of 2 routes take the message; nothing was executed\n$/)
  })
})

describe('a route with idempotency', () => {
  const file = (rule: string) => ({
    'routes/shop.yaml': `topics: orders\nroutes:\n  paid:\n    event: order.created\n    idempotency: ${rule}\n    actions: [broadcast: sales]\n`,
  })

  test('shows its key', () => {
    const message = record({ value: envelope('order.created', { order_id: 42 }, 'evt-1') })
    expect(answer(file('true'), message).routes).toMatchObject([{ matched: true, idempotencyKey: 'evt-1' }])
    expect(answer(file('{ key: "order-{{data.order_id}}" }'), message).routes).toMatchObject([{ idempotencyKey: 'order-42' }])
    expect(formatExplanation(explain(file('true'), message), { color: false })).toContain('once for the key evt-1')
  })

  test('says that a message without it is dead-lettered', () => {
    const why = 'the idempotency key cannot be made, so that the message is dead-lettered: the message has no id'
    expect(answer(file('true'), created({})).routes).toMatchObject([
      { matched: false, why: expect.stringContaining(why), idempotencyKey: null },
    ])
  })
})
