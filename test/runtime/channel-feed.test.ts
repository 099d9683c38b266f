import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { ChannelFeed } from '../../src/config/channel-subscriptions.ts'
import { startRouter } from '../../src/runtime/router.ts'
import type { RunningRouter } from '../../src/runtime/router-options.ts'
import { StartError } from '../../src/runtime/start-error.ts'
import { makeProject } from '../support/project.ts'
import { Subscriber } from '../support/pusher-client.ts'

const routerYaml = `name: shop
server:
  port: 0
  apps: [{ id: shop, key: shop-key, secret: not-a-secret }]
`

/** A project without any routes folder, with the embedded broker. */
async function start(feed: Partial<ChannelFeed>, router = routerYaml): Promise<{ router: RunningRouter; log: readonly string[] }> {
  const { root } = await makeProject({ 'router.yaml': router })
  const log: string[] = []
  const started = await startRouter({
    root,
    mode: 'run',
    env: {},
    log: pino({ level: 'warn' }, { write: line => log.push(line) }),
    channels: { channels: ['user.1', 'public.news'], topicPrefix: 'realtime_', ...feed },
  })
  onTestFinished(() => started.stop())
  await started.ready
  return { router: started, log }
}

test('each channel is fed from its own topic, without any route file', async () => {
  const { router } = await start({ channels: ['user.1', 'private-user.2', 'a=b@c;d'] })
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe('user.1', 'a=b@c;d')
  await router.publish({ topic: 'realtime_private-user_2', event: 'secret', data: {} })
  await router.publish({ topic: 'realtime_user_1', event: 'first', data: { n: 1 } })
  await subscriber.atLeast(1)
  await router.publish({ topic: 'realtime_a_b_c_d', event: 'second', data: { n: 2 } })
  expect(await subscriber.atLeast(2)).toEqual([
    { channel: 'user.1', event: 'first', data: { n: 1 } },
    { channel: 'a=b@c;d', event: 'second', data: { n: 2 } },
  ])
})

test('the prefix of the topics can be another one', async () => {
  const { router } = await start({ topicPrefix: 'live.' })
  const subscriber = new Subscriber(router.address.port, 'shop-key')
  await subscriber.subscribe('user.1')
  await router.publish({ topic: 'live.user_1', event: 'e', data: 1 })
  expect(await subscriber.atLeast(1)).toEqual([{ channel: 'user.1', event: 'e', data: 1 }])
})

test.each([
  [{ channels: ['user.1', 'user_1'] }, /user\.1 and user_1 would both be fed from the topic realtime_user_1/],
  [{ channels: [] }, /no channel/],
  [{ channels: ['user 1'] }, /"user 1" is no channel/],
  [{ channels: ['{{data.x}}'] }, /is no channel/],
  [{ channels: ['x'.repeat(200)], topicPrefix: 'p'.repeat(60) }, /at most 249/],
  [{ topicPrefix: 'rt/' }, /prefix rt\//],
  [{ app: 'sho' }, /no app sho/],
])('%j does not start, in one sentence', async (feed, message) => {
  await expect(start(feed)).rejects.toSatisfy(
    error => error instanceof StartError && error.code === 'bad-channels' && message.test(error.message),
  )
})

test('where router.yaml has several apps, one must be named, and its sockets hear it', async () => {
  const two = routerYaml.replace('apps: [', 'apps: [{ id: other, key: other-key, secret: not-a-secret-too }, ')
  await expect(start({}, two)).rejects.toMatchObject({ code: 'bad-channels', hint: 'name it with --app: other, shop' })
  const { router } = await start({ app: 'other' }, two)
  const subscriber = new Subscriber(router.address.port, 'other-key')
  await subscriber.subscribe('public.news')
  await router.publish({ topic: 'realtime_public_news', event: 'headline', data: {} })
  expect(await subscriber.atLeast(1)).toEqual([{ channel: 'public.news', event: 'headline', data: {} }])
})
