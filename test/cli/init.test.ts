import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const order = JSON.stringify({ order_id: 42, user_id: 7, total: 1200 })

describe('init', () => {
  test('writes a project that validates without warnings', async () => {
    const { root } = await makeProject({})
    const { code, stdout } = await router(['init', 'My Shop'], { cwd: root })
    expect(code).toBe(0)
    expect(stdout).toContain('wrote  My Shop/router.yaml')
    expect(stdout).toContain('router dev')
    expect(await readFile(join(root, 'My Shop/router.yaml'), 'utf8')).toContain('name: my-shop')
    const validated = await router(['validate', '--deny-warnings'], { cwd: join(root, 'My Shop') })
    expect(validated).toEqual({ code: 0, stdout: '1 route file, 2 routes: no problems\n', stderr: '' })
    const tested = await router(['test'], { cwd: join(root, 'My Shop') })
    expect(tested).toMatchObject({ code: 0, stdout: expect.stringContaining('2 passed; 2 of 2 routes tested') })
  })

  test('every YAML file names its schema for editors, and the schema is there', async () => {
    const { root } = await makeProject({})
    await router(['init'], { cwd: root })
    for (const file of ['router.yaml', 'routes/orders.yaml', 'routes/orders.test.yaml']) {
      const [, schema = ''] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(await readFile(join(root, file), 'utf8')) ?? []
      expect(JSON.parse(await readFile(join(root, dirname(file), schema), 'utf8'))).toHaveProperty('$schema')
    }
  })

  test('what it writes runs: an event goes through the handler', async () => {
    const { root } = await makeProject({})
    await router(['init'], { cwd: root })
    const dev = new RunningCommand(['dev', '--port', '0', '--inspector-port', '0'], { cwd: root })
    await dev.says(/Inspector/)
    const published = await router(['publish', 'orders', 'order.created', order], { cwd: root })
    expect(published).toMatchObject({ code: 0, stdout: expect.stringContaining('published order.created to orders') })
    await dev.says(/writing a receipt/)
    dev.send('SIGINT')
    expect(await dev.ended).toMatchObject({ code: 0 })
  })

  test('says how to go on: through npx for whoever came through npx', async () => {
    const { root } = await makeProject({})
    const plain = await router(['init'], { cwd: root, env: { npm_command: '' } })
    expect(plain.stdout).toMatch(/^ {2}router dev$/m)
    const npx = await router(['init'], { cwd: root, env: { npm_command: 'exec' } })
    expect(npx.stdout).toMatch(/^ {2}npx router dev$/m)
    expect(npx.stdout).toMatch(/^ {2}npx router publish /m)
  })

  test('changes nothing when it is run again', async () => {
    const { root } = await makeProject({})
    await router(['init'], { cwd: root })
    const before = await stat(join(root, 'router.yaml'))
    const { code, stdout } = await router(['init'], { cwd: root })
    expect(code).toBe(0)
    expect(stdout).not.toContain('wrote')
    expect((await stat(join(root, 'router.yaml'))).mtimeMs).toBe(before.mtimeMs)
  })

  test('overwrites nothing: it names what is there and writes no file at all', async () => {
    const { root } = await makeProject({ 'router.yaml': 'name: mine\n', 'handlers/receipt.ts': 'mine' })
    const { code, stdout, stderr } = await router(['init'], { cwd: root })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('router.yaml')
    expect(stderr).toContain('handlers/receipt.ts')
    expect(await readFile(join(root, 'router.yaml'), 'utf8')).toBe('name: mine\n')
    await expect(stat(join(root, 'routes'))).rejects.toThrow('ENOENT')
  })

  test('keeps the package.json, README and .gitignore of a project that has them', async () => {
    const own = { 'package.json': '{}', 'README.md': 'mine', '.gitignore': 'mine' }
    const { root } = await makeProject(own)
    const { code, stdout } = await router(['init'], { cwd: root })
    expect(code).toBe(0)
    for (const [file, text] of Object.entries(own)) {
      expect(await readFile(join(root, file), 'utf8')).toBe(text)
      expect(stdout).toContain(`kept   ${file}`)
    }
  })
})
