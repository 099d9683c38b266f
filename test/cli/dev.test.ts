import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeProject, type TestProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const good = 'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - broadcast: orders\n'
const withHandler = good.replace('broadcast: orders', 'invoke: ../handlers/work.ts')
const stuckHandler = `export default async (event, ctx) => {
  ctx.log.info({}, 'at work')
  await new Promise(resolve => setTimeout(resolve, 600_000))
}
`

async function startDev(project: TestProject, ...args: readonly string[]): Promise<RunningCommand> {
  const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0', ...args], { cwd: project.root })
  await dev.says(/Edits apply on save/)
  return dev
}

async function busyDev(): Promise<RunningCommand> {
  const project = await makeProject({ 'routes/a.yaml': withHandler, 'handlers/work.ts': stuckHandler })
  const dev = await startDev(project)
  await router(['publish', 'orders', 'order.created', '{}'], { cwd: project.root })
  await dev.says(/at work/)
  return dev
}

describe('dev', () => {
  test('prints where it can be reached, and answers there', async () => {
    const dev = await startDev(await makeProject({ 'routes/a.yaml': good }))
    const { groups } = await dev.says(/ws:\/\/(?<address>127\.0\.0\.1:\d+)/)
    expect((await fetch(`http://${groups?.['address']}/healthz`)).status).toBe(200)
    const page = await dev.says(/Inspector {2}(?<url>http:\S+)/)
    expect((await fetch(page.groups?.['url'] ?? '')).status).toBe(200)
  })

  test('tells calmly how an edit ended: not applied with the place, then applied', async () => {
    const project = await makeProject({ 'routes/a.yaml': good })
    const dev = await startDev(project)
    await project.write('routes/a.yaml', good.replace('broadcast', 'brodcast'))
    await dev.says(/not applied: the configuration before this edit goes on\n\nroutes\/a\.yaml:6:\d+: error: .*brodcast/)
    await project.write('routes/a.yaml', good.replace('orders]', 'orders, payments]'))
    await dev.says(/applied \(generation 2\)\n {2}a: /)
    expect(dev.stdout).not.toContain('    at ')
  })

  test('leaves its address for other commands where only this user can read it, until it ends', async () => {
    const project = await makeProject({ 'routes/a.yaml': good })
    const dev = await startDev(project)
    const file = join(project.root, '.signalbox/dev.json')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const { url, token } = JSON.parse(await readFile(file, 'utf8'))
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(token.length).toBeGreaterThanOrEqual(32)
    expect(dev.stdout + dev.stderr).not.toContain(token)
    dev.send('SIGTERM')
    expect((await dev.ended).code).toBe(0)
    await expect(stat(file)).rejects.toThrow('ENOENT')
  })

  test('says in one line what became of each message, without secrets and without what could steer the terminal', async () => {
    const project = await makeProject({
      'router.yaml': 'name: shop\nserver: { apps: [{ id: shop, key: shop-key, secret: not-a-secret }] }\n',
      'routes/a.yaml': withHandler.replace('    actions:', '    retry: { attempts: 2, delay: 10ms }\n    actions:'),
      'handlers/work.ts': `export default (event, ctx) => {
        if (event.data.bad) throw new Error('\\u001b[31mnot-a-secret\\nwas wrong')
      }\n`,
    })
    const dev = await startDev(project, '--messages')
    await router(['publish', 'orders', 'order.created', '{}'], { cwd: project.root })
    await dev.says(/^\d\d:\d\d:\d\d ✓ orders order\.created → created: work\.ts · [\d.]+ ms$/m)
    await router(['publish', 'orders', 'order.created', '{"bad": true}'], { cwd: project.root })
    await dev.says(
      /^\S+ ✕ orders order\.created → created: work\.ts · 1 retry · dead-lettered to orders\.dlq: Error: \uFFFD\[31m\[redacted\] was wrong · [\d.]+ ms$/m,
    )
    await router(['publish', 'orders', 'order.paid', '{}'], { cwd: project.root })
    await dev.says(/– orders order\.paid no route took it · [\d.]+ ms$/m)
  })

  test('says nothing of messages where nobody sits at a terminal', async () => {
    const handler = 'export default (event, ctx) => ctx.log.info({}, `done ${event.data.n}`)\n'
    const project = await makeProject({ 'routes/a.yaml': withHandler, 'handlers/work.ts': handler })
    const dev = await startDev(project)
    for (const n of [1, 2]) await router(['publish', 'orders', 'order.created', `{"n": ${n}}`], { cwd: project.root })
    await dev.says(/done 2/)
    expect(dev.stdout).not.toContain('order.created')
  })

  test('publishes the events that --samples generates', async () => {
    const samples = `export default async function* () {
      yield { topic: 'orders', event: 'order.created', data: { from: 'samples' } }
    }`
    const handler = 'export default (event, ctx) => ctx.log.info({}, `sample from ${event.data.from}`)\n'
    const project = await makeProject({ 'routes/a.yaml': withHandler, 'handlers/work.ts': handler, 'samples.ts': samples })
    const dev = await startDev(project, '--samples', 'samples.ts')
    await dev.says(/sample from samples/)
  })

  test('a fault in the samples ends them, not the router', async () => {
    const project = await makeProject({ 'routes/a.yaml': good, 'samples.ts': 'export default async function* () { yield { topic: 1 } }' })
    const dev = await startDev(project, '--samples', 'samples.ts')
    await dev.says(/no more sample events/)
    dev.send('SIGINT')
    expect((await dev.ended).code).toBe(0)
  })

  test('problems at the start are printed with their places, with exit code 1', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good.replace('event:', 'evnt:') })
    const { code, stdout, stderr } = await router(['dev', '--port', '0'], { cwd: root })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^routes\/a\.yaml:4:5: error: /m)
    expect(stderr).not.toContain('    at ')
  })

  test('a port that somebody else has is said in words, with exit code 2', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good })
    const port = await takenPort()
    const { code, stderr } = await router(['dev', '--port', String(port)], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toContain(String(port))
    expect(stderr).toContain('in use')
    expect(stderr).not.toContain('    at ')
  })

  test('an unknown broker is said in words, with exit code 2', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good, 'router.yaml': 'brokers:\n  local: { type: memory }\nbroker: local\n' })
    const { code, stderr } = await router(['dev', '--port', '0', '--broker', 'locl'], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toContain('did you mean local?')
  })
})

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends an idle router with exit code 0', async signal => {
    const dev = await startDev(await makeProject({ 'routes/a.yaml': good }))
    dev.send(signal)
    expect((await dev.ended).code).toBe(0)
  })

  test.each([
    ['SIGINT', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const)('%s lets running work end; a %s after it ends the process at once with %i', async (first, second, code) => {
    const dev = await busyDev()
    dev.send(first)
    await dev.says(/a second signal ends the process at once/)
    dev.send(second)
    expect((await dev.ended).code).toBe(code)
  })

  test('the same signal again at once is its echo from a package manager; later it ends the process', async () => {
    const dev = await busyDev()
    dev.send('SIGINT')
    await dev.says(/a second signal ends the process at once/)
    const repeat = setInterval(() => dev.send('SIGINT'), 50)
    onTestFinished(() => clearInterval(repeat))
    expect((await dev.ended).code).toBe(130)
  })
})

async function takenPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
  onTestFinished(() => new Promise<void>(resolve => server.close(() => resolve())))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('not listening')
  return address.port
}
