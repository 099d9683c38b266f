import { expect, test } from 'vitest'
import { loadFiles } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'

function load(backplane: string) {
  const apps = 'server: { apps: [{ id: a, key: a, secret: only-for-tests }] }\n'
  return loadFiles({ 'routes/a.yaml': route, 'router.yaml': `${apps}${backplane}` }, { mode: 'run', env: {} })
}

test.each([
  ['', { type: 'local' }],
  ['backplane: local\n', { type: 'local' }],
  ['backplane: { type: local }\n', { type: 'local' }],
  ['backplane: { type: redis, url: "redis://cache" }\n', { type: 'redis', url: 'redis://cache', prefix: 'signalbox' }],
  [
    'backplane: { type: redis, url: "rediss://cache:6380/2", prefix: shop-a }\n',
    { type: 'redis', url: 'rediss://cache:6380/2', prefix: 'shop-a' },
  ],
])('%j is read', async (text, backplane) => {
  const { problems, router } = await load(text)
  expect(problems).toEqual([])
  expect(router.backplane).toEqual(backplane)
})

test.each([
  ['backplane: redis\n', 'schema-value'],
  ['backplane: { type: redis }\n', 'schema-missing-key'],
  ['backplane: { type: redis, url: "http://cache" }\n', 'schema-value'],
  ['backplane: { type: redis, url: "redis://cache", prefix: "a b" }\n', 'schema-value'],
  ['backplane: { url: "redis://cache" }\n', 'schema-missing-key'],
  ['backplane: { type: local, url: "redis://cache" }\n', 'schema-value'],
  ['backplane: { type: redis, url: "redis://cache", prefx: a }\n', 'schema-unknown-key'],
])('%j is refused', async (text, code) => {
  expect((await load(text)).problems.map(problem => problem.code)).toEqual([code])
})

test('a password in the address is a secret', async () => {
  expect((await load('backplane: { type: redis, url: "redis://:dont-tell@cache" }\n')).secrets).toContain('dont-tell')
})
