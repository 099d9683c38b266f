import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RouterOptions } from '../../src/runtime/router-options.ts'
import { order, routerYaml, start, subscriberOf } from '../support/running-router.ts'

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

/** Says that it has begun by making `.begun`, and goes on once there is `.go`. */
const slow = `import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
const file = name => join(import.meta.dirname, '..', name)
export default async () => {
  writeFileSync(file('.begun'), '')
  while (!existsSync(file('.go'))) await new Promise(resolve => setTimeout(resolve, 10))
}
`
const says = (word: string) => `export default () => '${word}'\n`
const saysInBatches = (word: string) => `export default items => items.map(() => '${word}')\n`
const slowThen = (invoke: string) => `topics: orders
routes:
  created:
    event: order.created
    actions:
      - invoke: ../handlers/slow.mjs
      - { invoke: ${invoke}, as: said }
      - broadcast: { channel: user.7, event: said, data: "{{results.said}}" }
`
const other = 'topics: other\nunmatched: { actions: [{ broadcast: other }] }\n'

/** A router with a message at work in `slow`. */
async function startedSlowly(files: Readonly<Record<string, string>>, options?: Partial<RouterOptions>) {
  const running = await start({ 'routes/other.yaml': other, 'handlers/slow.mjs': slow, ...files }, options)
  const subscriber = await subscriberOf(running.router, 'user.7')
  await running.router.publish(order(7))
  await expect.poll(() => existsSync(join(running.project.root, '.begun')), { timeout: 20_000 }).toBe(true)
  return { ...running, subscriber }
}

test.each([
  ['one by one', '../handlers/a.mjs', says],
  ['in batches', '{ handler: ../handlers/a.mjs, batch: { size: 10, wait: 1ms } }', saysInBatches],
])('a message at work still finds a handler that an edit has taken away: %s', async (_, invoke, handler) => {
  const { project, nextReload, subscriber } = await startedSlowly({
    'routes/orders.yaml': slowThen(invoke),
    'handlers/a.mjs': handler('a'),
    'handlers/b.mjs': handler('b'),
  })
  await project.write('routes/orders.yaml', slowThen(invoke.replace('a.mjs', 'b.mjs')))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await project.remove('handlers/a.mjs')
  await project.write('.go', '')
  expect((await subscriber.atLeast(1)).map(({ data }) => data)).toEqual(['a'])
})

test('a message at work still finds its handlers when its route file is deleted', async () => {
  const { router, project, nextReload, subscriber } = await startedSlowly({
    'router.yaml': `${routerYaml}shutdown: { rebalance: 60s }\n`,
    'routes/orders.yaml': slowThen('../handlers/a.mjs'),
    'handlers/a.mjs': says('a'),
  })
  await project.remove('routes/orders.yaml')
  const ready = async () => await (await fetch(`http://127.0.0.1:${router.address.port}/readyz`)).json()
  await expect.poll(ready, { timeout: 20_000 }).toMatchObject({ subscriptions: [{ name: 'other' }] })
  await project.write('.go', '')
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  expect((await subscriber.atLeast(1)).map(({ data }) => data)).toEqual(['a'])
})

test('in production a message that waits for a retry takes the newest code of its handler, and the last there was of one that is gone', async () => {
  const failsUntilTold = (word: string) => `import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
const file = name => join(import.meta.dirname, '..', name)
export default () => {
  writeFileSync(file('.begun'), '')
  if (!existsSync(file('.go'))) throw new Error('not yet')
  return '${word}'
}
`
  const retrying = (handler: string) => `topics: orders
defaults: { retry: { attempts: 100, delay: 300ms, backoff: fixed, jitter: none } }
routes:
  created:
    event: order.created
    actions:
      - { invoke: ../handlers/${handler}.mjs, as: first }
      - { invoke: ../handlers/end.mjs, as: second }
      - broadcast: { channel: user.7, event: said, data: "{{results.first}} {{results.second}}" }
`
  const { project, nextReload, subscriber } = await startedSlowly(
    {
      'routes/orders.yaml': retrying('a'),
      'handlers/a.mjs': failsUntilTold('a'),
      'handlers/b.mjs': says('b'),
      'handlers/end.mjs': says('old end'),
    },
    { mode: 'run' },
  )
  await project.write('handlers/end.mjs', says('new end'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await project.write('routes/orders.yaml', retrying('b'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await project.write('.go', '')
  expect((await subscriber.atLeast(1)).map(({ data }) => data)).toEqual(['a new end'])
})

test('a module is torn down when the last message has ended that may call it, however many edits came since', async () => {
  const traced = (word: string) => `import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
const trace = what => appendFileSync(join(import.meta.dirname, '..', '.trace'), what + ' ${word}\\n')
export const setup = () => trace('setup')
export const teardown = () => trace('teardown')
export default () => trace('call')
`
  const names = ['a', 'b', 'c']
  const { project, nextReload, subscriber } = await startedSlowly({
    'routes/orders.yaml': slowThen('../handlers/a.mjs').replace('data: "{{results.said}}"', 'data: {}'),
    ...Object.fromEntries(names.map(name => [`handlers/${name}.mjs`, traced(name)])),
  })
  for (const name of ['b', 'c']) {
    await project.write('routes/orders.yaml', slowThen(`../handlers/${name}.mjs`).replace('data: "{{results.said}}"', 'data: {}'))
    expect(await nextReload()).toMatchObject({ kind: 'applied' })
  }
  const trace = async () => (await readFile(join(project.root, '.trace'), 'utf8')).trimEnd().split('\n')
  expect(await trace()).toEqual(['setup a', 'setup b', 'setup c'])
  await project.write('.go', '')
  await subscriber.atLeast(1)
  await expect.poll(trace, { timeout: 20_000 }).toHaveLength(6)
  expect((await trace()).slice(3, 4)).toEqual(['call a'])
  expect((await trace()).slice(4).toSorted()).toEqual(['teardown a', 'teardown b'])
})

const settingUp = (setup: string) => `import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
export const setup = () => {
  writeFileSync(join(import.meta.dirname, '..', '.begun'), '')
  ${setup}
}
export default () => 'said'
`
const hangs = settingUp('return new Promise(() => {})')
const saying = `topics: orders
routes:
  created:
    event: order.created
    actions:
      - { invoke: ../handlers/a.mjs, as: said }
      - broadcast: { channel: user.7, event: said, data: "{{results.said}}" }
`

test('a setup() that hangs is a broken edit with its place, and later edits go on', async () => {
  const { router, project, nextReload } = await start(
    { 'routes/orders.yaml': saying, 'handlers/a.mjs': says('one') },
    {},
    { setupMs: 300, teardownMs: 300 },
  )
  const subscriber = await subscriberOf(router, 'user.7')
  await project.write('handlers/a.mjs', hangs)
  expect(await nextReload()).toMatchObject({
    kind: 'rejected',
    problems: [
      {
        code: 'handler-invalid',
        file: 'routes/orders.yaml',
        range: { start: { line: 6 } },
        message: 'the handler handlers/a.mjs cannot be used: setup() has not ended within 0.3 s',
      },
    ],
  })
  await router.publish(order(7))
  await subscriber.atLeast(1)
  await project.write('handlers/a.mjs', says('two'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await router.publish(order(7))
  expect((await subscriber.atLeast(2)).map(({ data }) => data)).toEqual(['one', 'two'])
})

test('what is edited while a setup() runs is taken up after it', async () => {
  const waits = settingUp("return new Promise(resolve => setTimeout(resolve, 300)).then(() => '')")
  const { router, project, nextReload } = await start({ 'routes/orders.yaml': saying, 'handlers/a.mjs': says('one') })
  const subscriber = await subscriberOf(router, 'user.7')
  await project.write('handlers/a.mjs', waits)
  await expect.poll(() => existsSync(join(project.root, '.begun')), { timeout: 20_000, interval: 10 }).toBe(true)
  await project.write('handlers/a.mjs', says('two'))
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  expect(await nextReload()).toMatchObject({ kind: 'applied' })
  await router.publish(order(7))
  expect((await subscriber.atLeast(1)).map(({ data }) => data)).toEqual(['two'])
})

test('a stop does not wait for a setup() that hangs', { timeout: 60_000 }, async () => {
  const { router, project } = await start(
    { 'routes/orders.yaml': saying, 'handlers/a.mjs': says('one') },
    {},
    { setupMs: 1e9, teardownMs: 300 },
  )
  await project.write('handlers/a.mjs', hangs)
  await expect.poll(() => existsSync(join(project.root, '.begun')), { timeout: 20_000 }).toBe(true)
  await router.stop()
  expect(await router.done).toEqual({ cut: [] })
})
