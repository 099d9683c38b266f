import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const routerYaml = 'name: shop\nserver:\n  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]\n'

describe('consume', () => {
  test('runs without any routes folder, and stops on SIGTERM with exit code 0', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml })
    const consume = new RunningCommand(['consume', '--channels', 'user.1, public.news,user.1', '--port', '0'], { cwd: root })
    await consume.says(/"subscription":"consume\/public\.news","group":"shop\.consume\.public\.news"/)
    await consume.says(/"msg":"ready/)
    consume.send('SIGTERM')
    expect(await consume.ended).toMatchObject({ code: 0, stdout: '' })
  })

  test('leaves the route files that are there alone, broken ones too', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/broken.yaml': 'topics: [' })
    const { code, stderr } = await router(['consume', '--channels', 'user.1', '--port', '0', '--stop-when-empty'], { cwd: root })
    expect(code).toBe(0)
    expect(stderr).not.toContain('broken.yaml')
  })

  test('says in a line which channels it cannot feed, or that none was named', async () => {
    const { root } = await makeProject({ 'router.yaml': routerYaml })
    const clash = await router(['consume', '--channels', 'user.1,user_1'], { cwd: root })
    expect(clash).toMatchObject({
      code: 2,
      stderr: 'error: the channels user.1 and user_1 would both be fed from the topic realtime_user_1\n',
    })
    const none = await router(['consume'], { cwd: root })
    expect(none.code).toBe(2)
    expect(none.stderr).toContain("required option '--channels <names>' not specified")
  })
})

test.each(['run', 'consume'])('%s --help says what holds where a flag is not given', async command => {
  const { stdout } = await router([command, '--help'])
  const help = stdout.replaceAll(/\s+/g, ' ')
  expect(help).toMatch(/--batch-size <n> most messages taken at once \(default: [^)]*100\)/)
  expect(help).toMatch(/--timeout <ms> longest wait for a fetch on a quiet topic \(default: [^)]*1000\)/)
  expect(help).toMatch(/--max-messages <n> .*\(default: 0, no limit\)/)
})
