import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { LoadMode } from '../../src/config/read-document.ts'
import { makeCertificates } from '../kafka/certificates.ts'
import { loadFiles, places } from './project-folder.ts'

const route = 'topics: orders\nroutes: { a: { actions: [broadcast: news] } }\n'

function load(broker: string, files: Record<string, string> = {}, mode: LoadMode = 'validate', env: Record<string, string> = {}) {
  const text = `broker: kafka\nbrokers:\n  kafka: { type: kafka, brokers: "k:9092", ${broker} }\nserver: { apps: [{ id: a, key: a, secret: only-for-tests }] }\n`
  return loadFiles({ 'routes/a.yaml': route, 'router.yaml': text, ...files }, { mode, env })
}

async function kafkaOf(...args: Parameters<typeof load>) {
  const project = await load(...args)
  expect(project.problems).toEqual([])
  return project.router.brokers['kafka']
}

describe('ssl', () => {
  let cert = ''
  let key = ''
  let otherKey = ''

  beforeAll(async () => {
    const { folder, clientCert, clientKey } = await makeCertificates()
    cert = readFileSync(clientCert, 'utf8')
    key = readFileSync(clientKey, 'utf8')
    otherKey = readFileSync(join(folder, 'ca.key'), 'utf8')
    rmSync(folder, { recursive: true })
  })

  test('true trusts the known authorities, false is none', async () => {
    expect(await kafkaOf('ssl: true')).toMatchObject({ ssl: { rejectUnauthorized: true } })
    expect(await kafkaOf('ssl: false')).not.toHaveProperty('ssl')
  })

  test('certificates come from files of the project or as text from the environment, with \\n for line breaks too', async () => {
    const files = { 'certs/ca.pem': cert, 'certs/client.key': key }
    const env = { CERT: cert.replaceAll('\n', '\\n') }
    const broker = await kafkaOf('ssl: { ca: certs/ca.pem, cert: "${CERT}", key: certs/client.key, servername: k }', files, 'run', env)
    expect(broker).toMatchObject({ ssl: { ca: cert, cert, key, servername: 'k', rejectUnauthorized: true } })
    expect(await kafkaOf('ssl: { rejectUnauthorized: false }')).toMatchObject({ ssl: { rejectUnauthorized: false } })
  })

  test('a file that is missing is a warning where nothing starts, and an error in run', async () => {
    const found = async (mode: LoadMode) => (await load('ssl: { ca: certs/ca.pem }', {}, mode)).problems
    expect(await found('validate')).toMatchObject([
      {
        code: 'file-unreadable',
        severity: 'warning',
        range: { start: { line: 3 } },
        message: 'The file cannot be read: it does not exist',
      },
    ])
    expect(await found('run')).toMatchObject([{ code: 'file-unreadable', severity: 'error' }])
  })

  test('what is no certificate, a key without certificate and a key of another certificate are told at their place', async () => {
    expect((await load('ssl: { ca: a.txt }', { 'a.txt': 'hello' })).problems).toMatchObject([
      { message: 'The file holds no PEM block of type CERTIFICATE' },
    ])
    const files = { 'c.pem': cert, 'k.key': key, 'o.key': otherKey }
    expect(places(await load('ssl: { key: k.key }', files))).toEqual(['router.yaml:3:56 schema-missing-key'])
    const mixed = await load('ssl: { cert: c.pem, key: o.key }', files)
    expect(mixed.problems).toMatchObject([
      { code: 'schema-value', message: expect.stringMatching(/certificates cannot be used: .*mismatch/) },
    ])
  })
})

describe('sasl', () => {
  test('is read, and its password is a secret wherever it stands', async () => {
    const sasl = { mechanism: 'SCRAM-SHA-512', username: 'ada', password: 'from-the-environment' }
    const written = 'sasl: { mechanism: SCRAM-SHA-512, username: "${USER_NAME}", password: "${PASSWORD}" }'
    const env = { PASSWORD: sasl.password, USER_NAME: 'ada' }
    expect(await kafkaOf(written, {}, 'run', env)).toMatchObject({ sasl })
    expect((await load(written, {}, 'run', env)).secrets).toEqual([sasl.password, 'only-for-tests'])
    expect((await load('sasl: { mechanism: PLAIN, username: ada, password: in-the-file }')).secrets).toContain('in-the-file')
  })

  test('with a mechanism it does not have says which it has', async () => {
    const { problems } = await load('sasl: { mechanism: scram-sha-512, username: ada, password: secret }')
    expect(problems).toMatchObject([{ code: 'schema-value', hint: expect.stringContaining('SCRAM-SHA-512') }])
    expect(places(await load('sasl: { mechanism: PLAIN, username: ada }'))).toEqual(['router.yaml:3:44 schema-missing-key'])
  })
})
