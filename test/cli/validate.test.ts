import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { router } from './router-command.ts'

const good = 'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - broadcast: orders\n'
const brokenYaml = 'topics: [orders\nroutes: {}\n'
const wrongShape = good.replace('topics:', 'topcis:')
const wrongTemplate = good.replace('broadcast: orders', 'broadcast: "user.{{dta.id}}"')

describe('validate', () => {
  test('says how much it has read when nothing is wrong', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good, 'routes/deep/b.yaml': good.replace('created:', 'created2:') })
    const { code, stdout, stderr } = await router(['validate'], { cwd: root })
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '2 route files, 2 routes: no problems\n', stderr: '' })
  })

  test('prints the problems of all files at once: syntax, shape and templates', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': brokenYaml, 'routes/b.yaml': wrongShape, 'routes/c.yaml': wrongTemplate })
    const { code, stdout } = await router(['validate'], { cwd: root })
    expect(code).toBe(1)
    expect(stdout).toMatch(/^routes\/a\.yaml:\d+:\d+: error: .* \[yaml-syntax]$/m)
    expect(stdout).toMatch(/^routes\/b\.yaml:1:1: error: .* \[schema-unknown-key]$/m)
    expect(stdout).toMatch(/^routes\/c\.yaml:6:\d+: error: .* \[template-root]$/m)
    expect(stdout).toMatch(/^\d+ errors in 3 files$/m)
  })

  test('gives JSON with every problem in one shape', async () => {
    const { root } = await makeProject({ 'routes/b.yaml': wrongShape, 'routes/c.yaml': wrongTemplate })
    const { code, stdout, stderr } = await router(['validate', '--format', 'json'], { cwd: root })
    expect(code).toBe(1)
    expect(stderr).toBe('')
    const { problems, ...rest } = JSON.parse(stdout)
    expect(rest).toEqual({})
    expect(problems.map(({ file }: { file: string }) => file)).toEqual(expect.arrayContaining(['routes/b.yaml', 'routes/c.yaml']))
    for (const problem of problems) {
      expect(problem).toEqual({
        code: expect.stringMatching(/^[a-z]+(?:-[a-z]+)+$/),
        severity: expect.stringMatching(/^(?:error|warning)$/),
        message: expect.any(String),
        file: expect.stringMatching(/^routes\//),
        range: {
          start: { line: expect.any(Number), column: expect.any(Number) },
          end: { line: expect.any(Number), column: expect.any(Number) },
        },
        hint: expect.toSatisfy((hint: unknown) => hint === null || typeof hint === 'string'),
      })
    }
  })

  test('gives an empty list as JSON when nothing is wrong', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good })
    const { code, stdout } = await router(['validate', '--format', 'json'], { cwd: root })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ problems: [] })
  })

  test('warnings pass, unless they are denied', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good, 'router.yaml': 'name: "${A_NAME_NOBODY_SET}"\n' })
    const allowed = await router(['validate'], { cwd: root })
    expect(allowed.stdout).toContain('[env-unset]')
    expect(allowed.code).toBe(0)
    const denied = await router(['validate', '--deny-warnings'], { cwd: root })
    expect(denied.stdout).toBe(allowed.stdout)
    expect(denied.code).toBe(1)
  })

  test('prints no escape codes into a pipe', async () => {
    const { root } = await makeProject({ 'routes/b.yaml': wrongShape })
    const { stdout } = await router(['validate'], { cwd: root, env: { FORCE_COLOR: '', TERM: 'xterm-256color' } })
    expect(stdout).toContain('error')
    expect(stdout).not.toContain('\u001b')
  })

  test('looks only at the paths it was given', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good, 'routes/deep/b.yaml': wrongShape })
    expect((await router(['validate', 'routes/a.yaml'], { cwd: root })).code).toBe(0)
    expect((await router(['validate', 'routes/deep'], { cwd: root })).code).toBe(1)
    expect((await router(['validate', join(root, 'routes/a.yaml')], { cwd: '/' })).code).toBe(0)
  })

  test('a path that does not exist exits with 2', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good })
    const { code, stdout, stderr } = await router(['validate', 'routes/a.yaml', 'routes/none.yaml'], { cwd: root })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('routes/none.yaml does not exist')
  })

  test('a path of another project exits with 2 and says how to name that project', async () => {
    const { root } = await makeProject({ 'routes/a.yaml': good })
    const other = await makeProject({ 'routes/a.yaml': good })
    const { code, stderr } = await router(['validate', 'routes/a.yaml', join(other.root, 'routes/a.yaml')], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toContain('--project')
  })

  test('finds the project from a folder inside it, or by --project', async () => {
    const { root } = await makeProject({ 'router.yaml': 'name: x\n', 'routes/deep/b.yaml': good })
    expect((await router(['validate'], { cwd: join(root, 'routes/deep') })).stdout).toContain('1 route file,')
    expect((await router(['validate', '--project', root], { cwd: '/' })).stdout).toContain('1 route file,')
    expect((await router(['--project', root, 'validate'], { cwd: '/' })).stdout).toContain('1 route file,')
  })

  test('a folder without routes is a problem that names the way out', async () => {
    const { root } = await makeProject({ 'router.yaml': 'name: x\n' })
    const { code, stdout } = await router(['validate'], { cwd: root })
    expect(code).toBe(1)
    expect(stdout).toContain('router init')
  })

  test('never shows the value of a secret', async () => {
    const routerYaml = 'name: x\nserver:\n  apps: [{ id: 7, key: k, secret: "${APP_SECRET}" }]\n'
    const { root } = await makeProject({ 'router.yaml': routerYaml, 'routes/a.yaml': good })
    const { code, stdout, stderr } = await router(['validate'], { cwd: root, env: { APP_SECRET: 'hunter2-hunter2' } })
    expect(code).toBe(1)
    expect(stdout + stderr).not.toContain('hunter2')
    expect(stdout).toContain('${APP_SECRET}')
  })
})
