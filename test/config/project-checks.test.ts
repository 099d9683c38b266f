import { describe, expect, test } from 'vitest'
import { missingExports } from '../../src/config/handler-exports.ts'
import { unusedFiles } from '../../src/config/unused-files.ts'
import { validateProject } from '../../src/runtime/validate-project.ts'
import { makeProject } from '../support/project.ts'

const range = { start: { line: 1, column: 1 }, end: { line: 1, column: 2 } }

describe('handlers that are not exported', () => {
  const faultsOf = async (text: string, exportName = 'default') => {
    const { root } = await makeProject({ 'h.ts': text })
    return missingExports(root, [{ module: 'h.ts', exportName, file: 'routes/a.yaml', range }]).map(({ message }) => message)
  }

  test.each([
    'export default defineHandler(async () => {})',
    'const a = () => {}\nexport { a as default }',
    'module.exports = () => {}',
    "export * from './other.ts'",
  ])('%s has a default', async text => {
    expect(await faultsOf(text)).toEqual([])
  })

  test.each(['export const a = () => {}', '// export default a\nexport const b = 1', '/* export default */'])('%s has none', async text => {
    expect(await faultsOf(text)).toEqual(['h.ts has no default export'])
  })

  test.each(['export async function send() {}', 'export const other = 1, send = () => {}', 'const send = 1\nexport { other, send }'])(
    '%s has what is named',
    async text => {
      expect(await faultsOf(text, 'send')).toEqual([])
    },
  )

  test('another name is none', async () => {
    expect(await faultsOf('export const sender = 1', 'send')).toEqual(['h.ts has no export `send`'])
  })
})

test('schemas and handlers beside used ones that nobody uses are warned of; helpers, tests and other files are not', async () => {
  const { root } = await makeProject({
    'schemas/used.json': '{"$schema": "x"}',
    'schemas/left.json': '{"$schema": "x"}',
    'schemas/data.json': '{}',
    'schemas/routes.schema.json': '{"$schema": "x"}',
    'handlers/used.ts': 'defineHandler()',
    'handlers/left.ts': 'defineHandler()',
    'handlers/database.ts': 'export const db = 1',
    'handlers/left.test.ts': 'defineHandler()',
    'elsewhere/x.ts': 'defineHandler()',
  })
  const problems = unusedFiles(root, { schemas: ['schemas/used.json'], handlers: ['handlers/used.ts', 'handlers/missing.ts'] })
  expect(problems.map(({ severity, file, message }) => `${severity} ${file} ${message}`)).toEqual([
    'warning schemas/left.json No route uses this schema',
    'warning handlers/left.ts No route uses this handler',
  ])
})

describe('channels that nobody could subscribe to', () => {
  const problemsOf = async (channel: string, router: string) => {
    const { root } = await makeProject({
      'router.yaml': router,
      'routes/a.yaml': `topics: orders\nroutes:\n  one:\n    actions:\n      - broadcast: "${channel}"\n      - broadcast: ${channel.includes('{{') ? 'private-b' : 'a'}\n`,
      'may-join.ts': 'export default () => true\n',
    })
    const { problems } = await validateProject({ root, env: {} })
    return problems.map(({ severity, code, range }) => `${severity} ${code} ${range?.start.line}`)
  }
  const app = 'server: { apps: [{ id: shop, key: k }] }\n'
  const rule = (pattern: string) => `${app}channels: { "${pattern}": { authorize: ./may-join.ts } }\n`

  test('private ones of an app that nobody can sign for are told once', async () => {
    expect(await problemsOf('private-user.{{data.id}}', app)).toEqual(['warning channel-unreachable 5'])
    expect(await problemsOf('presence-room', rule('private-*'))).toEqual(['warning channel-unreachable 5'])
  })

  test('are none where a module may decide, where the app has a secret or takes tokens, or where they are public', async () => {
    expect(await problemsOf('private-user.{{data.id}}', rule('private-*'))).toEqual([])
    expect(await problemsOf('presence-room', rule('presence-r*'))).toEqual([])
    expect(await problemsOf('private-a', app.replace('key: k', 'key: k, secret: "${S:-s3cret}"'))).toEqual([])
    expect(await problemsOf('private-a', app.replace('key: k', 'key: k, jwt: { jwks: "https://id.example/keys" }'))).toEqual([])
    expect(await problemsOf('news', app)).toEqual([])
  })

  test('names over the limit of router.yaml', async () => {
    const router = 'server: { limits: { channelName: 10 } }\n'
    expect(await problemsOf('news-{{data.a-long-path}}', router)).toEqual([])
    expect(await problemsOf('a-longer-name', router)).toEqual(['warning channel-unreachable 5'])
  })
})

test('what a fanout file sends to a channel whose history is shared is told to be in none', async () => {
  const problemsOf = async (role: string, more: string, channel = 'kept.{{data.id}}') => {
    const { root } = await makeProject({
      'router.yaml': `${more}channels: { "kept.*": { history: {} } }\n`,
      'routes/a.yaml': `topics: orders\n${role}routes:\n  one: { actions: [{ broadcast: "${channel}" }] }\n`,
    })
    const { problems } = await validateProject({ root, env: {} })
    return problems.map(({ severity, code, range }) => `${severity} ${code} ${range?.start.line}`)
  }
  const shared = 'backplane: { type: redis, url: "redis://localhost:6379" }\n'
  expect(await problemsOf('role: fanout\n', shared)).toEqual(['warning fanout 4'])
  expect(await problemsOf('role: fanout\n', shared, 'plain')).toEqual([])
  expect(await problemsOf('role: fanout\n', '')).toEqual([])
  expect(await problemsOf('', shared)).toEqual([])
})

test('a project for `run` that has no apps is told so: `run` would refuse to start', async () => {
  const problemsOf = async (router: string) => {
    const { root } = await makeProject({
      'router.yaml': router,
      'routes/a.yaml': 'topics: orders\nroutes:\n  one: { actions: [{ broadcast: a }] }\n',
    })
    const { problems } = await validateProject({ root, env: {} })
    return problems.map(({ severity, code, message }) => `${severity} ${code} ${message}`)
  }
  const kafka = 'broker: kafka\nbrokers: { kafka: { type: kafka, brokers: "localhost:9092" } }\n'
  expect(await problemsOf(kafka)).toEqual(['warning schema-missing-key `server.apps` is missing: `run` has no default app'])
  expect(await problemsOf(`${kafka}server: { apps: [{ id: shop, key: k, secret: "\${S:-s3cret}" }] }\n`)).toEqual([])
  expect(await problemsOf('broker: local\nbrokers: { local: { type: memory } }\n')).toEqual([])
})
