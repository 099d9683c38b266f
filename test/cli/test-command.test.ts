import { expect, test } from 'vitest'
import { makeProject } from '../support/project.ts'
import { RunningCommand, router } from './router-command.ts'

const route =
  'topics: [orders]\nroutes:\n  created:\n    event: order.created\n    actions:\n      - invoke: ../src/name.ts\n        as: name\n      - broadcast: "{{results.name}}"\n'
const handler = "import { name } from './words.ts'\nexport default () => name\n"
const words = (name: string) => `export const name = '${name}'\n`
const tests = (channel: string) =>
  `tests:\n  - name: goes where it should\n    given: { event: order.created, data: {} }\n    expect: { broadcasts: [{ channel: ${channel} }] }\n`
const project = {
  'routes/orders.yaml': route,
  'routes/orders.test.yaml': tests('news'),
  'src/name.ts': handler,
  'src/words.ts': words('news'),
}

test('--watch runs again after each edit: of a test, a route, a handler, and what a handler imports', async () => {
  const { root, write } = await makeProject(project)
  const watching = new RunningCommand(['test', '--watch'], { cwd: root })
  const runs = async (count: number) => {
    await watching.says(new RegExp(`(?:waiting for edits[^]*){${count}}`))
    return watching.stdout.split('routes/orders.test.yaml\n').at(-1) ?? ''
  }
  expect(await runs(1)).toContain('1 passed; 1 of 1 route tested')
  await write('routes/orders.test.yaml', tests('sport'))
  expect(await runs(2)).toContain('broadcasts[0].channel is different')
  await write('src/words.ts', words('sport'))
  expect(await runs(3)).toContain('1 passed;')
  await write('routes/orders.yaml', route.replace('actions:', 'actionss:'))
  await runs(4)
  expect(watching.stderr).toContain('routes/orders.yaml:5:5: error: `actionss` is no key of a route')
  await write('routes/orders.yaml', route)
  expect(await runs(5)).toContain('1 passed;')
  watching.send('SIGINT')
  expect((await watching.ended).code).toBe(0)
}, 120_000)

test('the exit code tells that one failed, also where a program reads the report', async () => {
  const { root } = await makeProject({ ...project, 'routes/orders.test.yaml': tests('sport') })
  const { code, stdout } = await router(['test', '--format', 'junit'], { cwd: root })
  expect(code).toBe(1)
  expect(stdout).toContain('<testsuites tests="1" failures="1">')
})

test('without tests it says where to write one', async () => {
  const { root } = await makeProject({ 'routes/orders.yaml': route, 'src/name.ts': handler })
  const { code, stderr } = await router(['test'], { cwd: root })
  expect(code).toBe(2)
  expect(stderr).toContain('write one beside a route file: routes/orders.test.yaml')
})
