import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseDuration } from '../../src/config/duration.ts'
import type { LoadMode } from '../../src/config/read-document.ts'
import { parseSize } from '../../src/config/size.ts'
import { loadFiles, places } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'

function load(router: string | undefined, mode: LoadMode = 'dev', env: Record<string, string> = {}) {
  return loadFiles({ 'routes/a.yaml': route, ...(router === undefined ? {} : { 'router.yaml': router }) }, { mode, env })
}

describe('without router.yaml', () => {
  test('everything has a default that works on a laptop', async () => {
    const { router, problems, root, routerFile } = await load(undefined)
    expect(problems).toEqual([])
    expect(routerFile).toBeUndefined()
    expect(router.name).toBe(basename(root))
    expect(router).toMatchObject({
      broker: 'local',
      brokers: { local: { type: 'memory' } },
      server: { port: 6001, admin: undefined, origins: undefined, apps: [{ id: 'app', key: 'app-key', secret: undefined }] },
      shutdown: { graceMs: 25_000, rebalanceMs: 5_000 },
    })
  })

  test('run has no default app', async () => {
    expect((await load(undefined, 'run')).problems).toMatchObject([{ code: 'schema-missing-key', file: 'router.yaml', severity: 'error' }])
    expect(places(await load('server: { port: 7000 }', 'run'))).toEqual(['router.yaml:1:1 schema-missing-key'])
  })

  test('an empty router.yaml is none', async () => {
    expect((await load('# later\n')).problems).toEqual([])
  })

  test('a misnamed one is reported', async () => {
    expect(places(await loadFiles({ 'routes/a.yaml': route, 'router.yml': 'name: shop' }))).toEqual(['router.yml file-unreadable'])
  })
})

test('the defaults are those that the schema shows in editors', async () => {
  const schema = JSON.parse(readFileSync(new URL('../../schemas/router.schema.json', import.meta.url), 'utf8'))
  const { router } = await load(undefined)
  const limits = Object.entries(schema.$defs.limits.properties).map(([name, property]) => {
    const value = Object(property).default
    return [name, typeof value === 'string' ? parseSize(value) : value]
  })
  expect(router.server.limits).toEqual(Object.fromEntries(limits))
  expect(router.server.port).toBe(schema.$defs.server.properties.port.default)
  expect(router.server.host).toBe(schema.$defs.server.properties.host.default)
  expect(router.shutdown.graceMs).toBe(parseDuration(schema.properties.shutdown.properties.grace.default))
  expect(router.shutdown.rebalanceMs).toBe(parseDuration(schema.properties.shutdown.properties.rebalance.default))
  expect(router.brokers['local']).toMatchObject({ partitions: schema.$defs.memoryBroker.properties.partitions.default })
})

test('what is written is read, with environment, sizes and durations', async () => {
  const text = `
name: shop
broker: kafka
brokers:
  kafka: { type: kafka, brokers: "\${KAFKA:-a:1, b:2}", consumer: { fetch.min.bytes: "\${MIN}", client.id: shop } }
  many: { type: kafka, brokers: [c:3] }
  local: { type: memory, partitions: 1 }
server:
  port: \${PORT}
  admin: "[::1]:9464"
  apps: [{ id: shop, key: shop-key, secret: "\${APP_SECRET}" }]
  origins: ["https://shop.example", "http://localhost:3000"]
  limits: { frame: 32kb, connections: 10 }
defaults: { timeout: 5s }
shutdown: { grace: 1m }
`
  const { router, problems, secrets } = await load(text, 'run', { MIN: '10', PORT: '7000', APP_SECRET: 'very-secret' })
  expect(problems).toEqual([])
  expect(router).toMatchObject({
    name: 'shop',
    broker: 'kafka',
    brokers: {
      kafka: { type: 'kafka', brokers: ['a:1', 'b:2'], consumer: { 'fetch.min.bytes': 10, 'client.id': 'shop' } },
      many: { type: 'kafka', brokers: ['c:3'] },
      local: { type: 'memory', partitions: 1 },
    },
    server: {
      port: 7000,
      admin: { host: '::1', port: 9464 },
      apps: [{ id: 'shop', key: 'shop-key', secret: 'very-secret' }],
      origins: ['https://shop.example', 'http://localhost:3000'],
      limits: { frame: 32_768, connections: 10, queue: 1_048_576 },
    },
    defaults: { timeout: '5s' },
    shutdown: { graceMs: 60_000, rebalanceMs: 5_000 },
  })
  expect(secrets).toEqual(['very-secret'])
})

describe('app secrets', () => {
  const text = 'server:\n  apps: [{ id: shop, key: shop-key, secret: "${APP_SECRET}" }]\n'

  test('may be unset in dev, which makes one up', async () => {
    const { problems, router } = await load(text, 'dev')
    expect(problems).toEqual([])
    expect(router.server.apps).toEqual([{ id: 'shop', key: 'shop-key', secret: undefined }])
  })

  test('unset are a warning in validate and an error in run', async () => {
    expect((await load(text, 'validate')).problems).toMatchObject([{ code: 'env-unset', severity: 'warning' }])
    expect((await load(text, 'run')).problems).toMatchObject([{ code: 'env-unset', severity: 'error' }])
  })

  test('not given at all are an error in run', async () => {
    const { problems } = await load('server: { apps: [{ id: shop, key: shop-key }] }', 'run')
    expect(problems).toMatchObject([{ code: 'schema-missing-key', message: 'The app `shop` has no `secret`: `run` makes none up' }])
  })

  test('are hidden also where they stand in the file, or in a route', async () => {
    const written = await load('server: { apps: [{ id: shop, key: shop-key, secret: plain-secret }] }')
    expect(written.secrets).toEqual(['plain-secret'])
    const files = { 'routes/a.yaml': 'topics: ${TOPIC}\nroutes: { a: { actions: [{ invoke: a.ts, with: { token: "t-${TOKEN}" } }] } }' }
    expect((await loadFiles(files, { env: { TOPIC: 'orders', TOKEN: 'abcdef' } })).secrets).toEqual(['abcdef'])
  })
})

describe('brokers', () => {
  test('the only one is the default', async () => {
    const { router } = await load('brokers: { kafka: { type: kafka, brokers: a:1 } }')
    expect(router.broker).toBe('kafka')
  })

  test('of several, one must be named', async () => {
    const text = 'brokers:\n  a: { type: kafka, brokers: a:1 }\n  b: { type: kafka, brokers: b:1 }\n'
    expect(places(await load(text))).toEqual(['router.yaml:1:1 broker-missing'])
  })

  test('a default that is not defined is reported with the nearest name', async () => {
    const { problems } = await load('broker: kafca\nbrokers: { kafka: { type: kafka, brokers: a:1 } }')
    expect(problems).toMatchObject([{ code: 'broker-unknown', hint: 'Did you mean `kafka`?' }])
  })
})

test('two apps with one id or key are reported', async () => {
  const text = 'server:\n  apps:\n    - { id: a, key: k }\n    - { id: a, key: k }\n'
  expect(places(await load(text))).toEqual(['router.yaml:4:13 schema-value', 'router.yaml:4:21 schema-value'])
})
