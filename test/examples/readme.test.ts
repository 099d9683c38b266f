import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { draftBlueprint } from '../../src/runtime/blueprint.ts'
import { router } from '../cli/router-command.ts'
import { inAnyOrder, readExample, runExample, subscriberOf } from './example.ts'

const examples = fileURLToPath(new URL('../../examples', import.meta.url))
const projects = (await readdir(examples)).filter(name => existsSync(`${examples}/${name}/routes`))

test.each(['channels-passed-through', 'switch-consumer', 'retries-and-dead-letters', 'cloudevents'])(
  '%s: the commands in its README do what it says',
  async name => {
    const example = await readExample(name)
    const router = await runExample(example)
    const subscriber = await subscriberOf(example, router)
    for (const event of example.published) await router.publish(event)
    const received = await subscriber.atLeast(example.promised.length)
    expect(inAnyOrder(received)).toEqual(inAnyOrder(example.promised))
  },
)

test.each(projects)('%s: has no problems', async name => {
  const { problems } = await draftBlueprint({ root: `${examples}/${name}`, env: {}, mode: 'validate' })
  expect(problems).toEqual([])
})

test.each(['switch-consumer', 'retries-and-dead-letters', 'batch-inserts'])('%s: its own tests pass, and reach every route', async name => {
  const { code, stdout } = await router(['test'], { cwd: `${examples}/${name}` })
  expect(code, stdout).toBe(0)
  expect(stdout).not.toContain('never tested')
})

test('the list of examples has every project, and each folder in it has a README', async () => {
  const list = await readFile(`${examples}/README.md`, 'utf8')
  const listed = [...list.matchAll(/^\| \[[\w-]+\]\(([\w-]+)\/README\.md\) \|/gm)].map(match => String(match[1]))
  expect(projects.filter(name => !listed.includes(name))).toEqual([])
  for (const name of listed) expect(await readFile(`${examples}/${name}/README.md`, 'utf8')).toMatch(/^# /)
})
