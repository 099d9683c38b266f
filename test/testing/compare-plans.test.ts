import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { flowGraph, toDot, toMermaid } from '../../src/compiler/flow-graph.ts'
import { readDocument } from '../../src/config/read-document.ts'
import { type ComparedSide, comparePlans } from '../../src/testing/compare-plans.ts'
import { formatChanges } from '../../src/testing/format-changes.ts'
import { router } from '../cli/router-command.ts'
import { compileFiles } from '../compiler/compile-files.ts'
import { makeProject } from '../support/project.ts'

const shop = `topics: [orders]
defaults: { timeout: 10s }
routes:
  created:
    event: order.created
    when: { data.total: { gte: 100 } }
    actions:
      - broadcast: "user.{{data.user_id}}"
      - emit: audit
  paid:
    event: order.paid
    actions: [{ broadcast: sales }]
`

function side(files: Readonly<Record<string, string>>, others: Readonly<Record<string, string>> = {}): ComparedSide {
  const documents = Object.entries(files).flatMap(
    ([file, text]) => readDocument({ file, text, schema: 'routes', env: {}, mode: 'validate' }).document ?? [],
  )
  const { plan, problems } = compileFiles(files, { handlers: ['routes/h.ts'] })
  expect(problems).toEqual([])
  return { plan, documents, files: new Map(Object.entries(others)) }
}

/** The change in words, when `shop` becomes this. */
function changed(edit: (text: string) => string): readonly string[] {
  const text = edit(shop)
  expect(text).not.toBe(shop)
  const { changes } = comparePlans(side({ 'routes/shop.yaml': shop }), side({ 'routes/shop.yaml': text }))
  return changes.map(({ kind, route, text: words }) => `${kind} ${route ?? '-'}: ${words}`)
}

describe('the change in words', () => {
  test('is nothing for the same routing, however it is written', () => {
    const { changes, channels } = comparePlans(
      side({ 'routes/shop.yaml': shop }),
      side({ 'routes/shop.yaml': `# hello\n${shop.replace('[orders]', 'orders')}` }),
    )
    expect(changes).toEqual([])
    expect(channels).toEqual({ gained: [], lost: [] })
    expect(formatChanges(comparePlans(side({}), side({})), [], { color: false })).toBe('no change in routing\n')
  })

  test.each([
    [
      'a condition',
      (text: string) => text.replace('gte: 100', 'gte: 50'),
      ['changed created: when: { data.total: { gte: 100 } } → { data.total: { gte: 50 } }'],
    ],
    ['an event', (text: string) => text.replace('order.paid', '"order.*"'), ['changed paid: event: order.paid → order.*']],
    [
      'an idempotency key',
      (text: string) =>
        text.replace('    event: order.paid', '    event: order.paid\n    idempotency: { key: "{{data.order_id}}", ttl: 7d }'),
      ['changed paid: idempotency: none → by {{data.order_id}} for 7d'],
    ],
    ['a group', (text: string) => `${text}group: other\n`, ['changed -: group: shop.shop → other']],
    [
      'a channel',
      (text: string) => text.replace('broadcast: sales', 'broadcast: team'),
      ['changed paid: no longer: broadcast sales', 'changed paid: new: broadcast team'],
    ],
    [
      'what is sent',
      (text: string) => text.replace('emit: audit', 'emit: { topic: audit, key: k }'),
      ['changed created: emit audit: its content changes from { emit: audit } to { emit: { topic: audit, key: k } }'],
    ],
    ['a route gone', (text: string) => text.slice(0, text.indexOf('  paid:')), ['removed paid: order.paid → broadcast sales']],
    [
      'order',
      (text: string) =>
        text.replace(
          '      - broadcast: "user.{{data.user_id}}"\n      - emit: audit\n',
          '      - emit: audit\n      - broadcast: "user.{{data.user_id}}"\n',
        ),
      ['changed created: the order of actions changes: emit audit, broadcast user.{{data.user_id}}'],
    ],
  ])('%s', (_, edit, expected) => {
    expect(changed(edit)).toEqual(expected)
  })

  test('a policy, for each action it holds for', () => {
    const changes = changed(text => text.replace('timeout: 10s', 'timeout: 5s'))
    expect(changes).toHaveLength(3)
    expect(changes[0]).toContain('broadcast user.{{data.user_id}}: 5 attempts of 10s')
    expect(changes[0]).toContain('→ 5 attempts of 5s')
  })

  test('messages that wait in retry topics of a group that is gone', () => {
    const file = (more: string) =>
      `topics: orders\nordering: none\n${more}\nroutes: { a: { event: x, actions: [{ emit: copies, retry: { mode: topics, attempts: 2 } }] } }\n`
    const texts = (from: Readonly<Record<string, string>>, to: Readonly<Record<string, string>>) =>
      comparePlans(side(from), side(to)).changes.filter(({ text }) => text.startsWith('nobody reads'))
    const old = { 'routes/shop.yaml': file('') }
    const text = 'nobody reads the retry topics of shop.shop any more (shop.shop.signalbox-retry-500ms): what waits there stays there'
    expect(texts(old, { 'routes/shop.yaml': file('group: other') })).toEqual([{ kind: 'changed', subscription: 'shop', text }])
    expect(texts(old, { 'routes/orders.yaml': file('') })).toEqual([{ kind: 'removed', subscription: 'shop', text }])
    // Renamed with its group kept, and without retry topics: what waits is still read.
    expect(texts(old, { 'routes/orders.yaml': file('group: shop.shop') })).toEqual([])
    expect(texts(old, { 'routes/shop.yaml': file('').replace('mode: topics, ', '') })).toEqual([])
  })

  test('a handler’s code', () => {
    const files = { 'routes/shop.yaml': 'topics: orders\nroutes: { a: { actions: [{ invoke: h.ts }] } }\n' }
    const { changes } = comparePlans(side(files, { 'routes/h.ts': 'old' }), side(files, { 'routes/h.ts': 'new' }))
    expect(changes.map(({ text }) => text)).toEqual(['routes/h.ts has changed'])
  })

  test('files come and go; channels and topics are gained and lost', () => {
    const other = 'topics: payments\nroutes: { all: { actions: [{ broadcast: news }, { emit: copies }] } }\n'
    const changes = comparePlans(side({ 'routes/shop.yaml': shop }), side({ 'routes/pay.yaml': other }))
    expect(changes.channels).toEqual({ gained: ['news'], lost: ['sales', 'user.{{data.user_id}}'] })
    expect(changes.topics).toEqual({ gained: ['payments'], lost: ['orders'] })
    expect(changes.emits).toEqual({ gained: ['copies'], lost: ['audit'] })
    expect(formatChanges(changes, [{ subscription: 'x', because: 'topics' }], { color: false })).toBe(
      '+ pay: topics payments, group shop.pay, 1 route: all\n- shop: topics orders, group shop.shop, 2 routes: created, paid\n\n' +
        'channels gained: news\nchannels lost: sales, user.{{data.user_id}}\ntopics read gained: payments\ntopics read lost: orders\n' +
        'topics written gained: copies\ntopics written lost: audit\nx: its consumer restarts (topics)\n',
    )
  })
})

test('router diff compares a git revision with the project as it is, and says which consumer restarts', async () => {
  const { root, write } = await makeProject({ 'project/routes/shop.yaml': shop })
  const git = (...args: string[]) => execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args], { cwd: root })
  git('init', '-q')
  git('add', '.')
  git('commit', '-q', '-m', 'one')
  await write('project/routes/shop.yaml', shop.replace('[orders]', '[orders, refunds]'))
  const { code, stdout } = await router(['diff', 'HEAD', '--format', 'json', '--project', `${root}/project`], { cwd: root })
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    topics: { gained: ['refunds'], lost: [] },
    restarts: [{ subscription: 'shop', because: 'topics' }],
  })
  const unknown = await router(['diff', 'no-such-branch'], { cwd: `${root}/project` })
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('no-such-branch is neither a folder nor a git revision') })
})

describe('the picture', () => {
  const { plan } = side({
    'routes/shop.yaml': `${shop.replace('timeout: 10s', 'timeout: 10s, deadLetter: dead')}unmatched: { actions: [{ broadcast: "a;b" }] }\n`,
  })

  test('as Mermaid', () => {
    const text = toMermaid(flowGraph(plan))
    expect(text).toMatch(/^flowchart LR\n {2}n1\[\("orders"\)]\n {2}n2\["shop\/created"]\n/)
    expect(text).toContain('n1 -->|"order.created"| n2')
    expect(text).toContain('-. failed .->')
    expect(text).toContain('|"no other route"|')
  })

  test('as DOT, with quotes escaped', () => {
    const text = toDot(flowGraph(plan))
    expect(text).toMatch(/^digraph routes \{\n {2}rankdir=LR\n {2}n1 \[shape=cylinder, label="orders"]\n/)
    expect(text).toContain('n1 -> n2 [label="order.created"]')
    expect(toDot({ nodes: [{ id: 'n1', kind: 'topic', label: 'a"\\b' }], edges: [] })).toContain('label="a\\"\\\\b"')
  })
})
