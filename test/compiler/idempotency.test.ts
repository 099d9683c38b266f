import { describe, expect, test } from 'vitest'
import { compileFiles } from './compile-files.ts'
import { scopeOf } from './scopes.ts'

const file = (rule: string, top = '') =>
  `topics: order.paid\n${top}routes:\n  paid:\n    event: order.paid\n    idempotency: ${rule}\n    actions:\n      - broadcast: news\n`

function compiled(rule: string, top = '') {
  const { plan, problems, schemaProblems } = compileFiles({ 'routes/shop.yaml': file(rule, top) })
  return { idempotency: plan.subscriptions[0]?.routes[0]?.idempotency, problems: [...schemaProblems, ...problems] }
}

describe('the key of a route', () => {
  test('is the event’s identity where the rule is `true`', () => {
    const { idempotency, problems } = compiled('true')
    expect(problems).toEqual([])
    expect(idempotency).toMatchObject({ ttlMs: 86_400_000, check: false })
    expect(idempotency?.key(scopeOf({ id: 'e-1' }))).toBe('e-1')
    expect(idempotency?.key(scopeOf({ id: 'e-1', source: '/shop' }))).toBe('/shop/e-1')
    expect(() => idempotency?.key(scopeOf({ id: undefined }))).toThrow('the message has no id')
  })

  test('is what its template gives', () => {
    const { idempotency, problems } = compiled('{ key: "{{data.order_id}}-{{event}}", ttl: 7d, check: true }')
    expect(problems).toEqual([])
    expect(idempotency).toMatchObject({ text: '{{data.order_id}}-{{event}}', ttlMs: 7 * 86_400_000, check: true })
    expect(idempotency?.key(scopeOf({ event: 'order.paid', data: { order_id: 42 } }))).toBe('42-order.paid')
    for (const order_id of [undefined, null, '', { a: 1 }, 'x'.repeat(600), 'line\nbreak'])
      expect(() => idempotency?.key(scopeOf({ event: 'order.paid', data: { order_id } }))).toThrow()
  })

  test.each([
    ['false', '', 'schema-value'],
    ['yes please', '', 'schema-type'],
    ['{ key: orders }', '', 'idempotency-key'],
    ['{ key: "{{order_id}}" }', '', 'template-root'],
    ['{ key: "{{results.receipt.id}}" }', '', 'results-unknown'],
    ['{ keys: a }', '', 'schema-unknown-key'],
    ['true', 'envelope: raw\n', 'idempotency-key'],
    ['{ ttl: 1h }', 'envelope: { data: value.payload }\n', 'idempotency-key'],
  ])('idempotency: %s is refused%s', (rule, top, code) => {
    expect(compiled(rule, top).problems).toMatchObject([{ code, file: 'routes/shop.yaml' }])
  })

  test('needs no identity of the message where it is named', () => {
    expect(compiled('{ key: "{{data.order_id}}" }', 'envelope: raw\n').problems).toEqual([])
    expect(compiled('true', 'envelope: { id: value.uuid, data: value }\n').problems).toEqual([])
  })
})
