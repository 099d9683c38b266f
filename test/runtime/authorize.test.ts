import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { startRouter } from '../../src/runtime/router.ts'
import type { ReloadResult } from '../../src/runtime/router-options.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routerYaml = `server:
  port: 0
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
channels:
  "private-user.*": { authorize: ./auth/join.ts }
`

const moduleFor = (user: number) => `import { defineAuthorize } from 'signalbox'
import { owner } from './owner.ts'
export default defineAuthorize(({ channel }) => channel === 'private-user.' + owner + ${user})
`

async function start() {
  const project = await makeProject({
    'router.yaml': routerYaml,
    'routes/orders.yaml': 'topics: orders\nunmatched: { actions: [broadcast: news] }\n',
    'auth/join.ts': moduleFor(1),
    'auth/owner.ts': "export const owner = ''\n",
    'auth/all.ts': 'export default () => true\n',
  })
  let reloaded: (result: ReloadResult) => void = () => {}
  const router = await startRouter({
    root: project.root,
    mode: 'run',
    env: {},
    log: pino({ level: 'silent' }),
    onReload: result => reloaded(result),
  })
  onTestFinished(() => router.stop())
  await router.ready
  const edit = async (file: string, text: string): Promise<ReloadResult> => {
    const result = new Promise<ReloadResult>(resolve => {
      reloaded = resolve
    })
    await project.write(file, text)
    return await result
  }
  const subscribe = (channel: string) => new Subscriber(router.address.port, 'shop-key').subscribe(channel)
  return { edit, subscribe }
}

test("a project's module decides who joins, and an edit of it or of what it imports takes effect", async () => {
  const { edit, subscribe } = await start()
  await subscribe('private-user.1')
  await expect(subscribe('private-user.2')).rejects.toThrow('private-user.2')
  expect(await edit('auth/join.ts', moduleFor(2))).toMatchObject({ kind: 'applied' })
  await subscribe('private-user.2')
  expect(await edit('auth/owner.ts', "export const owner = 'a'\n")).toMatchObject({ kind: 'applied' })
  await expect(subscribe('private-user.2')).rejects.toThrow('private-user.2')
  await subscribe('private-user.a2')
})

test('a broken module keeps the one before it, and says where it is named', async () => {
  const { edit, subscribe } = await start()
  expect(await edit('auth/join.ts', 'export const other = 1\n')).toMatchObject({
    kind: 'rejected',
    problems: [{ code: 'handler-invalid', file: 'router.yaml', range: { start: { line: 5 } } }],
  })
  await subscribe('private-user.1')
})

test('an edit of the rules applies without a restart', async () => {
  const { edit, subscribe } = await start()
  await expect(subscribe('private-other')).rejects.toThrow('private-other')
  const opened = routerYaml.replace('private-user.*', 'private-*').replace('./auth/join.ts', './auth/all.ts')
  expect(await edit('router.yaml', opened)).toMatchObject({ kind: 'applied' })
  await subscribe('private-other')
})
