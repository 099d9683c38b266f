import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { order, start, subscriberOf } from '../support/running-router.ts'

const extensions = ['ts', 'mts', 'js', 'mjs', 'cjs'] as const

/** A handler of each kind, and the module it takes its word from. */
function handlerFiles(word: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    extensions.flatMap(extension => {
      const isCommonJs = extension === 'cjs'
      const dependency = isCommonJs ? `module.exports = { word: '${word}' }\n` : `export const word = '${word}'\n`
      const handler = isCommonJs
        ? `const { word } = require('./words/${extension}.cjs')\nmodule.exports = () => word\n`
        : `import { word } from './words/${extension}.${extension}'\nexport default () => word\n`
      return [
        [`handlers/${extension}.${extension}`, handler],
        [`handlers/words/${extension}.${extension}`, dependency],
      ]
    }),
  )
}

const routes = `topics: orders
routes:
${extensions
  .map(
    extension => `  ${extension}:
    event: order.created
    actions:
      - { invoke: ../handlers/${extension}.${extension}, as: said }
      - broadcast: { channel: user.7, event: ${extension}, data: "{{results.said}}" }
`,
  )
  .join('')}`

test('what handlers import is taken up from every kind of module', async () => {
  const { router, project, nextReload } = await start({ 'routes/orders.yaml': routes, ...handlerFiles('before') })
  const subscriber = await subscriberOf(router, 'user.7')
  const said = async (count: number) => {
    await router.publish(order(7))
    const received = (await subscriber.atLeast(count)).slice(count - extensions.length)
    return Object.fromEntries(received.map(({ event, data }) => [event, data]))
  }
  const all = (word: string) => Object.fromEntries(extensions.map(extension => [extension, word]))
  expect(await said(extensions.length)).toEqual(all('before'))
  const edits = Object.entries(handlerFiles('after')).filter(([file]) => file.includes('/words/'))
  for (const [file, text] of edits) {
    await project.write(file, text)
    expect(await nextReload()).toMatchObject({ kind: 'applied' })
  }
  expect(await said(2 * extensions.length)).toEqual(all('after'))
})

const lifecycle = (version: string) => `import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
const file = (name: string) => join(import.meta.dirname, '..', name)
const trace = (what: string) => appendFileSync(file('.trace'), what + ' ${version}\\n')
export const setup = async () => trace('setup')
export const teardown = async () => trace('teardown')
export default async () => {
  trace('begin')
  while (!existsSync(file('.go'))) await new Promise(resolve => setTimeout(resolve, 10))
  trace('end')
}
`

test('a swap sets the new module up first, and tears the old one down when its last call has ended', async () => {
  const { router, project, nextReload } = await start({
    'routes/orders.yaml': 'topics: orders\nroutes:\n  created:\n    event: order.created\n    actions: [{ invoke: ../handlers/work.ts }]\n',
    'handlers/work.ts': lifecycle('one'),
  })
  const trace = () => readFile(join(project.root, '.trace'), 'utf8')
  await router.publish(order(7))
  await expect.poll(trace, { timeout: 20_000 }).toBe('setup one\nbegin one\n')
  await project.write('handlers/work.ts', lifecycle('two'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  expect(await trace()).toBe('setup one\nbegin one\nsetup two\n')
  await project.write('.go', '')
  await expect.poll(trace, { timeout: 20_000 }).toBe('setup one\nbegin one\nsetup two\nend one\nteardown one\n')
  await router.stop()
  expect(await trace()).toBe('setup one\nbegin one\nsetup two\nend one\nteardown one\nteardown two\n')
})
