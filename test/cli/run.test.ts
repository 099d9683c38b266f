import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const routes = 'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - broadcast: orders\n'
const routerYaml = `name: shop
server:
  apps: [{ id: shop, key: shop-key, secret: "\${APP_SECRET}" }]
`
const env = { APP_SECRET: 'hunter2-hunter2' }

describe('run', () => {
  test('logs JSON lines to stderr, nothing to stdout, and stops on SIGTERM with exit code 0', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': routes })
    const run = new RunningCommand(['run', '--port', '0'], { cwd: root, env })
    await run.says(/"msg":"ready/)
    run.send('SIGTERM')
    const { code, stdout, stderr } = await run.ended
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    const messages = stderr
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line).msg)
    expect(messages).toEqual(expect.arrayContaining(['listening', expect.stringMatching(/^stopping/), 'stopped']))
    expect(stderr).not.toContain('hunter2')
  })

  test('logs at the start what validate would warn about', async () => {
    const withTrap = routes.replace('    actions:', '    when: { data.n: 010 }\n    actions:')
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': withTrap })
    const { code, stderr } = await router(['run', '--port', '0', '--stop-when-empty'], { cwd: root, env })
    expect(code).toBe(0)
    expect(stderr).toMatch(/"code":"when-number","place":"routes\/a\.yaml:5:\d+"/)
  })

  test('SIGTERM while a setup() hangs at the start ends it with exit code 0', async () => {
    const { root } = await makeProject({
      'router.yaml': routerYaml,
      'routes/a.yaml': routes.replace('broadcast: orders', 'invoke: ../handlers/hangs.mjs'),
      'handlers/hangs.mjs':
        'export const setup = () => new Promise(() => { setInterval(() => {}, 1000); console.error("setting up") })\nexport default () => {}\n',
    })
    const run = new RunningCommand(['run', '--port', '0'], { cwd: root, env })
    await run.says(/setting up/)
    run.send('SIGTERM')
    const { code, stderr } = await run.ended
    expect(code).toBe(0)
    expect(stderr).not.toContain('"msg":"listening')
  })

  test('logs less with --log-level', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': routes })
    const run = new RunningCommand(['run', '--port', '0', '--log-level', 'error', '--stop-when-empty'], { cwd: root, env })
    expect(await run.ended).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('ends by itself with --stop-when-empty', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': routes })
    expect((await router(['run', '--port', '0', '--stop-when-empty'], { cwd: root, env })).code).toBe(0)
  })

  test('refuses to start without an app or with an unset secret, and prints where', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': routes })
    const { code, stdout, stderr } = await router(['run', '--port', '0'], { cwd: root, env: { APP_SECRET: '' } })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/router\.yaml:3:\d+: error: /)
    const bare = await makeProject({ 'routes/a.yaml': routes })
    const withoutApp = await router(['run', '--port', '0'], { cwd: bare.root })
    expect(withoutApp.code).toBe(1)
    expect(withoutApp.stderr).toMatch(/error: .*app/i)
  })

  test('logs an edit that is broken with its place, and goes on', async () => {
    const project = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': routes })
    const run = new RunningCommand(['run', '--port', '0'], { cwd: project.root, env })
    await run.says(/"msg":"ready/)
    await project.write('routes/a.yaml', routes.replace('broadcast', 'brodcast'))
    await run.says(/"code":"schema-unknown-key","place":"routes\/a\.yaml:6:9"/)
    await project.write('routes/a.yaml', routes.replace('created:', 'made:'))
    await run.says(/the edited configuration is at work/)
    run.send('SIGTERM')
    expect((await run.ended).code).toBe(0)
  })
})

describe('run --inspector-port', () => {
  test('without a token in the environment is refused', async () => {
    const { root } = await makeProject({})
    const env = { SIGNALBOX_INSPECTOR_TOKEN: 'too-short' }
    const { code, stderr } = await router(['run', '--inspector-port', '0'], { cwd: root, env })
    expect(code).toBe(2)
    expect(stderr).toContain('--inspector-port needs a token of at least 16 characters in SIGNALBOX_INSPECTOR_TOKEN')
  })

  test('shows the messages of routes to whoever has the token, and nothing to others', async () => {
    const { root } = await makeProject({
      'router.yaml': routerYaml.replace('server:', 'brokers: { local: { type: memory } }\nserver:'),
      'routes/a.yaml': routes,
    })
    const token = 'a-token-of-24-characters'
    const args = ['run', '--port', '0', '--inspector-port', '0', '--broker', 'local']
    const run = new RunningCommand(args, { cwd: root, env: { ...env, SIGNALBOX_INSPECTOR_TOKEN: token } })
    const [, port] = await run.says(/"inspector":\{"host":"127\.0\.0\.1","port":(\d+)\}/)
    await run.says(/"msg":"ready/)
    const address = `http://127.0.0.1:${port}`
    for (const path of ['/', '/page/main.js', '/api/state', '/api/publish', '/?token=another-token-of-24-char']) {
      expect((await fetch(`${address}${path}`)).status, path).toBe(401)
    }
    const opened = await fetch(`${address}/?token=${token}`, { redirect: 'manual' })
    expect([opened.status, opened.headers.get('location')]).toEqual([303, '/'])
    const cookie = String(opened.headers.get('set-cookie')?.split(';')[0])
    const page = await fetch(address, { headers: { cookie } })
    expect([page.status, (await page.text()).includes('/page/main.js')]).toEqual([200, true])
    const record = { topic: 'orders', event: 'order.created', data: { order_id: 17 } }
    const sent = await fetch(`${address}/api/publish`, {
      method: 'POST',
      headers: { cookie, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(record),
    })
    expect(sent.ok).toBe(true)
    const stream = await fetch(`${address}/api/stream`, { headers: { cookie } })
    let heard = ''
    for await (const part of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      heard += part
      if (/"route":"a\/created","state":"took"/.test(heard)) break
    }
    expect(heard).not.toContain(env.APP_SECRET)
    run.send('SIGTERM')
    const { code, stderr } = await run.ended
    expect(code).toBe(0)
    expect(stderr).not.toContain(token)
  })
})
