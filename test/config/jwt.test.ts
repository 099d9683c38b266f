import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import type { LoadMode } from '../../src/config/read-document.ts'
import { loadFiles } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'
const env = { JWT_SECRET: 'a secret of at least 32 characters' }
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' }).toString()

const smallRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' }).toString()

function load(jwt: string, files: Record<string, string> = {}, mode: LoadMode = 'run', variables: Record<string, string> = env) {
  const text = `server:\n  apps:\n    - id: a\n      key: a\n      secret: only-for-tests\n      jwt: { ${jwt} }\n`
  return loadFiles({ 'routes/a.yaml': route, 'router.yaml': text, ...files }, { mode, env: variables })
}

async function jwtOf(...args: Parameters<typeof load>) {
  const project = await load(...args)
  expect(project.problems).toEqual([])
  return project.router.server.apps[0]?.jwt
}

test('a secret checks HS256, and is hidden in every output', async () => {
  expect(await jwtOf('secret: "${JWT_SECRET}"')).toEqual({
    key: { kind: 'secret', secret: env.JWT_SECRET },
    algorithms: ['HS256'],
    issuer: undefined,
    audience: undefined,
    clockToleranceMs: 5_000,
  })
  expect((await load('secret: "${JWT_SECRET}"')).secrets).toContain(env.JWT_SECRET)
})

test('a public key comes from a file or from the environment', async () => {
  const jwt = 'algorithms: [ES256], issuer: https://id.example, audience: shop, clockTolerance: 1m'
  const expected = { key: { kind: 'public-key', pem: ec }, algorithms: ['ES256'], issuer: 'https://id.example', audience: 'shop' }
  expect(await jwtOf(`publicKey: keys/tokens.pem, ${jwt}`, { 'keys/tokens.pem': ec })).toMatchObject(expected)
  expect(await jwtOf(`publicKey: "\${KEY}", ${jwt}`, {}, 'run', { KEY: ec.replaceAll('\n', '\\n') })).toMatchObject(expected)
})

test('a key set is named by its address, and RS256 and ES256 are taken', async () => {
  const url = 'https://id.example/.well-known/jwks.json'
  expect(await jwtOf(`jwks: "${url}"`)).toMatchObject({ key: { kind: 'jwks', url }, algorithms: ['RS256', 'ES256'] })
})

test('an unset variable is a warning where nothing starts, and an error in run', async () => {
  const found = async (mode: LoadMode) =>
    (await load('secret: "${JWT_SECRET}"', {}, mode, {})).problems.map(({ code, severity }) => ({ code, severity }))
  expect(await found('validate')).toEqual([{ code: 'env-unset', severity: 'warning' }])
  expect(await found('run')).toEqual([{ code: 'env-unset', severity: 'error' }])
})

test.each([
  [
    'a secret that stands in the file',
    'secret: a-secret-of-at-least-32-characters',
    'A secret that lets everybody in does not stand in a file',
  ],
  ['a short secret', 'secret: "${SHORT}"', 'a secret of at least 32 characters'],
  ['nothing to check with', 'issuer: a', '`jwt` needs what checks its tokens'],
  ['two things to check with', 'secret: "${JWT_SECRET}", jwks: "https://id.example/"', '`secret` and `jwks` cannot both check tokens'],
  ["a key's algorithm for a secret", 'secret: "${JWT_SECRET}", algorithms: [HS256, RS256]', '`secret` cannot check all of these'],
  ['an HMAC for a public key', 'publicKey: key.pem, algorithms: [HS256]', '`publicKey` cannot check all of these'],
  [
    'an algorithm that does not fit the key',
    'publicKey: key.pem, algorithms: [RS256]',
    'No algorithm here fits a key of type ec prime256v1',
  ],
  ['an RSA key that is too small', 'publicKey: small.pem', 'An RSA key has at least 2048 bits'],
  ['a key that is none', 'publicKey: bad.pem', 'The key cannot be used'],
  ['a file that is missing', 'publicKey: gone.pem', 'The file cannot be read: it does not exist'],
  ['a file without a public key', 'publicKey: routes/a.yaml', 'The file holds no PEM block of type PUBLIC KEY'],
  ['keys that arrive unencrypted', 'jwks: "http://id.example/keys"', 'an address such as `https://id.example'],
  ['algorithm none', 'secret: "${JWT_SECRET}", algorithms: [none]', '`none`'],
  ['clocks that are far apart', 'secret: "${JWT_SECRET}", clockTolerance: 1h', 'Clocks may be at most 1m apart'],
  ['a key that does not exist', 'secret: "${JWT_SECRET}", leeway: 5s', '`leeway` is no key of `jwt`'],
])('%s is told at its place', async (_what, jwt, message) => {
  const files = { 'key.pem': ec, 'small.pem': smallRsa, 'bad.pem': '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n' }
  const { problems } = await load(jwt, files, 'run', { ...env, SHORT: 'hunter2-hunter2' })
  expect(problems[0]).toMatchObject({ severity: 'error', file: 'router.yaml', range: { start: { line: 6 } } })
  expect(`${problems[0]?.message} ${problems[0]?.hint}`).toContain(message)
  expect(JSON.stringify(problems)).not.toContain('hunter2')
})
