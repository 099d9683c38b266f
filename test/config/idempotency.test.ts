import { expect, test } from 'vitest'
import { loadFiles } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'
const load = (router: string) => loadFiles({ 'routes/a.yaml': route, 'router.yaml': router })

test('keys are kept in a folder of the project, for a day, under leases of half a minute', async () => {
  const { router, problems } = await load('name: shop\n')
  expect(problems).toEqual([])
  expect(router.idempotency).toEqual({ store: 'level', path: '.signalbox', ttlMs: 86_400_000, leaseMs: 30_000 })
})

test('each store takes its own keys', async () => {
  expect((await load('idempotency: { store: memory, ttl: 1h }\n')).router.idempotency).toEqual({
    store: 'memory',
    ttlMs: 3_600_000,
    leaseMs: 30_000,
  })
  expect((await load('idempotency: { path: /var/lib/keys, lease: 5s }\n')).router.idempotency).toMatchObject({
    store: 'level',
    path: '/var/lib/keys',
    leaseMs: 5_000,
  })
  expect((await load('idempotency: { store: redis, url: "rediss://cache:6380/2" }\n')).router.idempotency).toMatchObject({
    store: 'redis',
    url: 'rediss://cache:6380/2',
  })
})

test.each([
  ['{ store: redis }', 'schema-missing-key', 'needs its `url`'],
  ['{ store: redis, url: "http://cache" }', 'schema-value', 'redis://localhost:6379'],
  ['{ url: "redis://cache" }', 'schema-value', 'belongs to `store: redis`'],
  ['{ store: memory, path: here }', 'schema-value', 'belongs to `store: level`'],
  ['{ lease: 50ms }', 'schema-value', 'at least 100ms'],
  ['{ ttl: 0s }', 'schema-value', 'longer than nothing'],
  ['{ size: 5 }', 'schema-unknown-key', '`size`'],
])('idempotency: %s is refused', async (text, code, message) => {
  const { problems } = await load(`idempotency: ${text}\n`)
  expect(problems).toMatchObject([{ code, message: expect.stringContaining(message), file: 'router.yaml' }])
})

test('the password of the store is a secret, wherever it is written', async () => {
  const { secrets } = await load('idempotency: { store: redis, url: "redis://user:not-to-be-seen@cache" }\n')
  expect(secrets).toEqual(['not-to-be-seen'])
})
