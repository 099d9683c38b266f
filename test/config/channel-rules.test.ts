import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { arePatternsTied, byPrecedence, matchesChannel, parseChannelPattern } from '../../src/config/channel-pattern.ts'
import { loadFiles, places } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'

function load(channels: string, files: Readonly<Record<string, string>> = {}) {
  return loadFiles({ 'routes/a.yaml': route, 'router.yaml': `channels:\n${channels}`, ...files }, { mode: 'dev', env: {} })
}

describe('a channel pattern', () => {
  test.each([
    ['news', 'news', true],
    ['news', 'news.1', false],
    ['news*', 'news', true],
    ['*', '', true],
    ['private-*', 'private-user.1', true],
    ['private-*', 'public', false],
    ['*.eur', 'prices.eur', true],
    ['*.eur', 'prices.eur.old', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'a-b-c', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['a*bc*bc', 'abc', false],
    ['a*bc*bc', 'abcbc', true],
    ['a.c', 'abc', false],
    ['**', 'anything', true],
  ])('%s on %s: %s', (pattern, channel, expected) => {
    expect(matchesChannel(parseChannelPattern(pattern), channel)).toBe(expected)
  })

  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 6 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 6 })

  test('matches what a regular expression would', () => {
    fc.assert(
      fc.property(pattern, text, (written, channel) => {
        const same = new RegExp(`^${written.replaceAll('.', '\\.').replaceAll('*', '.*')}$`)
        expect(matchesChannel(parseChannelPattern(written), channel)).toBe(same.test(channel))
      }),
      { numRuns: 2_000 },
    )
  })

  test('that matches the same channel as another counts more or less than it, or is tied with it', () => {
    fc.assert(
      fc.property(pattern, pattern, text, (one, other, channel) => {
        const [a, b] = [parseChannelPattern(one), parseChannelPattern(other)]
        fc.pre(matchesChannel(a, channel) && matchesChannel(b, channel))
        expect(byPrecedence(a, b) === 0).toBe(arePatternsTied(a, b))
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a rule is read with its module, its durations and its sizes', async () => {
  const { router, problems } = await load(
    `  "private-user.*": { authorize: ./auth/join.ts#mayJoin, limits: { subscribers: 5, data: 2kb } }
  "prices.*": { conflate: 100ms, by: data.symbol.id }
  "presence-*": { clientEvents: true }
  "news.*": { history: {} }
  "chat.*": { history: { size: 5, ttl: 1h, bytes: 64kb } }
`,
    { 'auth/join.ts': 'export const mayJoin = () => true\n' },
  )
  expect(problems).toEqual([])
  expect(router.channels).toMatchObject([
    {
      pattern: 'private-user.*',
      access: 'authorize',
      authorize: { module: 'auth/join.ts', exportName: 'mayJoin', file: 'router.yaml', range: { start: { line: 2 } } },
      limits: { subscribers: 5, data: 2_048 },
    },
    { pattern: 'prices.*', access: undefined, conflate: { intervalMs: 100, by: ['symbol', 'id'] } },
    { pattern: 'presence-*', clientEvents: true, conflate: undefined, history: undefined, limits: {} },
    { pattern: 'news.*', history: { size: 100, ttlMs: 600_000, bytes: 1_048_576 } },
    { pattern: 'chat.*', history: { size: 5, ttlMs: 3_600_000, bytes: 65_536 } },
  ])
})

test.each([
  ['two patterns that are tied', '  "a*x": {}\n  "a*yx": {}\n', 'router.yaml:3:3 channel-rule'],
  ['a module that does not exist', '  a: { authorize: ./nowhere.ts }\n', 'router.yaml:2:19 handler-missing'],
  ['a module outside of the project', '  a: { authorize: ../other/join.ts }\n', 'router.yaml:2:19 handler-missing'],
  ['a module of another kind', '  a: { authorize: router.yaml }\n', 'router.yaml:2:19 handler-invalid'],
  ['no name after #', '  a: { authorize: "routes/a.yaml#" }\n', 'router.yaml:2:19 handler-invalid'],
  ['access: authorize without a module', '  a: { access: authorize }\n', 'router.yaml:2:16 channel-rule'],
  ['a public private channel', '  private-a: { access: public }\n', 'router.yaml:2:24 channel-rule'],
  ['a history of a user', '  "#server-to-user-*": { history: {} }\n', 'router.yaml:2:35 channel-rule'],
  ['a history without room', '  a: { history: { size: 0 } }\n', 'router.yaml:2:25 schema-value'],
  ['by without conflate', '  a: { by: data.x }\n', 'router.yaml:2:8 schema-unknown-key'],
  ['by outside of the data', '  a: { conflate: 1s, by: event }\n', 'router.yaml:2:26 schema-value'],
  ['a pattern no channel can have', '  "a b": {}\n', 'router.yaml:2:3 schema-value'],
  ['data of more than 4mb', '  a: { limits: { data: 4.1mb } }\n', 'router.yaml:2:24 schema-value'],
  ['an unknown key', '  a: { clientEvent: true }\n', 'router.yaml:2:8 schema-unknown-key'],
])('%s is an error', async (_what, channels, place) => {
  expect(places(await load(channels))).toEqual([place])
})

test('a full name beside a pattern, and starts of several lengths, are no tie', async () => {
  expect((await load('  "*": {}\n  a: {}\n  "a*": {}\n  "ab*": {}\n')).problems).toEqual([])
})

test("an app's options, the time-outs and the proxies are read", async () => {
  const { router, problems } = await loadFiles(
    {
      'routes/a.yaml': route,
      'router.yaml': `server:
  apps: [{ id: a, key: k, secret: s, clientEvents: true, connections: 5, webhooks: [{ url: "http://a.example/x", events: [cache_miss] }, { url: "https://b.example" }] }]
  timeouts: { activity: 10s, firstSubscribe: 0s }
  limits: { connectionsPerIp: 3 }
  trustedProxies: ["10.0.0.0/8", "::1"]
`,
    },
    { mode: 'dev', env: {} },
  )
  expect(problems).toEqual([])
  const [app] = router.server.apps
  expect(app).toMatchObject({ clientEvents: true, connections: 5 })
  expect(app?.webhooks?.map(({ events }) => events.length)).toEqual([1, 7])
  expect(router.server).toMatchObject({
    timeouts: { activityMs: 10_000, pongMs: 30_000, firstSubscribeMs: 0, authorizeMs: 5_000 },
    limits: { connectionsPerIp: 3, connections: 100_000 },
    trustedProxies: ['10.0.0.0/8', '::1'],
  })
})

test.each([
  ['broadcast', '4mb', []],
  ['broadcast', '4097kb', ['router.yaml:2:24 schema-value']],
  ['apiEvent', '4.5mb', ['router.yaml:2:23 schema-value']],
])('server.limits.%s: %s', async (key, size, expected) => {
  const files = { 'routes/a.yaml': route, 'router.yaml': `server:\n  limits: { ${key}: ${size} }\n` }
  expect(places(await loadFiles(files, { mode: 'dev', env: {} }))).toEqual(expected)
})

test.each(['10.0.0.0/33', '10.0.0', 'proxy.example', '::1/129', '1.2.3.4/8/9'])('%s is no network', async network => {
  const files = { 'routes/a.yaml': route, 'router.yaml': `server: { trustedProxies: ["${network}"] }\n` }
  expect(places(await loadFiles(files, { mode: 'dev', env: {} }))).toEqual(['router.yaml:1:28 schema-value'])
})
