import { pino } from 'pino'
import { onTestFinished } from 'vitest'
import type { LifecycleLimits } from '../../src/runtime/handler-lifecycle.ts'
import { startRouter } from '../../src/runtime/router.ts'
import type { ReloadResult, RouterOptions, RunningRouter } from '../../src/runtime/router-options.ts'
import { makeProject, type TestProject } from './project.ts'
import { Subscriber } from './pusher-client.ts'

export const routerYaml = `name: shop
server:
  port: 0
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
`
export const ordersYaml = `topics: orders
routes:
  created:
    event: order.created
    actions:
      - broadcast: "user.{{data.user_id}}"
`

export interface Running {
  readonly router: RunningRouter
  readonly project: TestProject
  /** Results of edits that nobody has asked for yet. */
  readonly reloads: readonly ReloadResult[]
  /** The next edit's result, in order; results are kept until asked for. */
  nextReload(): Promise<ReloadResult>
}

/** A project with this router.yaml unless the files bring another one, on the embedded broker, ready. */
export async function start(
  files: Readonly<Record<string, string>>,
  options: Partial<RouterOptions> = {},
  limits?: LifecycleLimits,
): Promise<Running> {
  return await startIn(await makeProject({ 'router.yaml': routerYaml, ...files }), options, limits)
}

/** The same for a folder that is there. */
export async function startIn(project: TestProject, options: Partial<RouterOptions> = {}, limits?: LifecycleLimits): Promise<Running> {
  const reloads: ReloadResult[] = []
  let wake = () => {}
  const router = await startRouter(
    {
      root: project.root,
      mode: 'dev',
      env: {},
      log: pino({ level: 'silent' }),
      onReload: result => {
        reloads.push(result)
        wake()
      },
      ...options,
    },
    limits,
  )
  onTestFinished(() => router.stop())
  await router.ready
  const nextReload = async () => {
    for (;;) {
      const result = reloads.shift()
      if (result !== undefined) return result
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  return { router, project, reloads, nextReload }
}

export async function subscriberOf(router: RunningRouter, ...channels: readonly string[]): Promise<Subscriber> {
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe(...channels)
  return subscriber
}

export function order(user: number, note = '') {
  return { topic: 'orders', event: 'order.created', key: String(user), data: { user_id: user, note } }
}
