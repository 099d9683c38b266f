import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeProject, type TestProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const routes = `topics: [orders]
routes:
  all:
    actions:
      - invoke: ../handlers/show.ts
`
const show = "export default (event, ctx) => ctx.log.info({ got: JSON.stringify(event) }, 'got it')\n"

async function devProject(routeFile = routes): Promise<{ readonly project: TestProject; readonly dev: RunningCommand }> {
  const project = await makeProject({ 'routes/a.yaml': routeFile, 'handlers/show.ts': show })
  const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0'], { cwd: project.root })
  await dev.says(/Edits apply on save/)
  return { project, dev }
}

describe('publish', () => {
  test('sends an event with key and id into the running dev', async () => {
    const { project, dev } = await devProject()
    const args = ['publish', 'orders', 'order.created', '{"n": 1}', '--key', 'k1', '--id', 'id-1']
    const { code, stdout } = await router(args, { cwd: project.root })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'published order.created to orders (router dev), id id-1\n' })
    const { groups } = await dev.says(/got it.*"got":"(?<event>.*)"/)
    expect(groups?.['event']).toContain('id-1')
    expect(groups?.['event']).toContain('k1')
    expect(groups?.['event']).toContain('order.created')
  })

  test('reads the data from stdin with -', async () => {
    const { project, dev } = await devProject()
    const { code } = await router(['publish', 'orders', 'order.created', '-'], { cwd: project.root, input: '{"from": "stdin"}\n' })
    expect(code).toBe(0)
    await dev.says(/stdin/)
  })

  test('--raw sends the record as it is, for envelopes of other systems', async () => {
    const mapped = routes.replace('routes:', 'envelope: { event: value.kind, data: value.payload }\nroutes:')
    const { project, dev } = await devProject(mapped)
    const { code, stdout } = await router(['publish', 'orders', '{"kind": "legacy.order", "payload": {"n": 7}}', '--raw'], {
      cwd: project.root,
    })
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'published 45 bytes to orders (router dev)\n' })
    const { groups } = await dev.says(/got it.*"got":"(?<event>.*)"/)
    expect(groups?.['event']).toContain('legacy.order')
  })

  test('a raw record has no id, and an event name beside it is warned about', async () => {
    const { project } = await devProject()
    const withId = await router(['publish', 'orders', '{}', '--raw', '--id', 'x'], { cwd: project.root })
    expect(withId).toMatchObject({ code: 2, stderr: expect.stringContaining('--id') })
    const withEvent = await router(['publish', 'orders', 'order.created', '{}', '--raw'], { cwd: project.root })
    expect(withEvent).toMatchObject({ code: 0, stderr: expect.stringContaining('order.created is not sent') })
  })

  test('says where the data is not JSON', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': routes })
    const { code, stdout, stderr } = await router(['publish', 'orders', 'order.created', '{"n": }'], { cwd: root })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('DATA is not valid JSON: 1:7: expected a value\n\n  {"n": }\n        ^\n')
  })

  test('says what to do when nothing is running', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': routes })
    const { code, stderr } = await router(['publish', 'orders', 'order.created', '{}'], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toContain('start `router dev` in another terminal')
  })

  test('does not believe what a dev that is gone has left behind', async () => {
    const { project, dev } = await devProject()
    dev.send('SIGKILL')
    await dev.ended
    const { code, stderr } = await router(['publish', 'orders', 'order.created', '{}'], { cwd: project.root })
    expect(code).toBe(2)
    expect(stderr).toContain('no router is running here')
  })

  test('never sends its token to another machine', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.end('{}')
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => new Promise<void>(resolve => server.close(() => resolve())))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const devFile = JSON.stringify({ url: `http://localhost.example.invalid:${port}`, token: 'x' })
    const { root } = await makeProject({ 'routes/a.yaml': routes, '.signalbox/dev.json': devFile })
    const { code } = await router(['publish', 'orders', 'order.created', '{}'], { cwd: root })
    expect(code).toBe(2)
    expect(asked).toEqual([])
  })

  test.each([
    ['an unknown broker', ['--broker', 'lcal'], 'did you mean local?'],
    ['a broker that lives in the router', ['--broker', 'local'], 'lives inside the router'],
  ])('%s is said in words', async (_, flags, message) => {
    const { root } = await makeProject({ 'router.yaml': 'broker: local\nbrokers:\n  local: { type: memory }\n', 'routes/a.yaml': routes })
    const { code, stderr } = await router(['publish', 'orders', 'order.created', '{}', ...flags], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('    at ')
  })

  test('problems of router.yaml are printed with their places', async () => {
    const { root } = await makeProject({ 'router.yaml': 'brokrs: {}\n', 'routes/a.yaml': routes })
    const { code, stderr } = await router(['publish', 'orders', 'order.created', '{}'], { cwd: root })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^router\.yaml:1:1: error: /m)
  })

  test('data that is missing is a usage error', async () => {
    const { code, stderr } = await router(['publish', 'orders', 'order.created'], { cwd: join('/') })
    expect(code).toBe(2)
    expect(stderr).toContain('DATA is missing')
  })
})
